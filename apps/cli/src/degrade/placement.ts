import { join, relative, resolve, sep } from "node:path";
import { bare, type Source } from "../data/sources.ts";
import { UsageError } from "../errors.ts";

/**
 * Where the images go without `--out`: into a folder beside the originals' folder `HR`, as in the original's data sets.
 *
 * @param replacement that folder's name
 * @returns it, and the photographs named by their place below `HR`
 * @throws UsageError when they do not all stand in one such folder
 */
export function besideOriginals(
  sources: readonly Source[],
  replacement: string,
): { readonly out: string; readonly sources: Source[] } {
  const placed = sources.map(({ path }) => {
    const parts = resolve(path).split(sep);
    const at = parts.lastIndexOf("HR", parts.length - 2);
    const out = relative(process.cwd(), [...parts.slice(0, at), replacement].join(sep));
    return { at, out, source: { path, name: bare(join(...parts.slice(at + 1))) } };
  });
  const { out = "" } = placed[0] ?? {};
  if (placed.some((one) => one.at < 0 || one.out !== out)) {
    throw new UsageError("--out is missing: it can be left out where all photographs stand in one folder named HR");
  }
  return { out, sources: placed.map(({ source }) => source) };
}
