/** Where photographs come from and where their images go. */
import { join, relative, resolve, sep } from "node:path";
import { bare, isBelow, listSources, type Source, type SourceList } from "../data/sources.ts";
import { UsageError } from "../errors.ts";

/** Photographs, and the folders of what is made of them. */
export interface Placement extends SourceList {
  /** The data set's folder. */
  readonly out: string;
  /** The folder of the degraded images: the data set's own, or below it `X4` for pairs. */
  readonly folder: string;
  /** The folder of the squares that pairs are made of, `HR`; null where there are none. */
  readonly originals: string | null;
}

/** What decides about the folders. */
export interface PlacementOptions {
  /** The folder that paths in lists count from; undefined for the list's own. */
  readonly root: string | undefined;
  /** The data set's folder; null for one beside the photographs' folder `HR`. */
  readonly out: string | null;
  /** How many times smaller the images of pairs are; null where there are no pairs. */
  readonly scale: number | null;
  /** Whether squares are cut out. */
  readonly squares: boolean;
}

/** Lists the photographs and places their images. @throws UsageError and UserError as `listSources` and `besideOriginals` */
export async function placeImages(inputs: readonly string[], options: PlacementOptions): Promise<Placement> {
  const { root, out, scale, squares } = options;
  if (out === null) {
    const list = await listSources(inputs, { written: [], root });
    const beside = besideOriginals(list.sources, scale === null ? "LQ" : scale === 2 ? "RealLQ" : `RealLQx${scale}`);
    return { ...list, ...beside, folder: beside.out, originals: null };
  }
  const folder = scale === null ? out : join(out, `X${scale}`);
  const originals = scale !== null && squares ? join(out, "HR") : null;
  const written = originals === null ? [folder] : [folder, originals];
  return { ...(await listSources(inputs, { written, root })), out, folder, originals };
}

/**
 * Puts the images into a folder beside the originals' folder `HR`, as in the original's data sets.
 *
 * @param replacement that folder's name
 * @returns it, and the photographs named by their place below `HR`
 * @throws UsageError when they do not all stand in one such folder
 */
function besideOriginals(
  sources: readonly Source[],
  replacement: string,
): { readonly out: string; readonly sources: Source[] } {
  const placed = sources.map(({ path }) => {
    const parts = resolve(path).split(sep);
    const at = parts.lastIndexOf("HR", parts.length - 2);
    const out = at < 0 ? null : relative(process.cwd(), [...parts.slice(0, at), replacement].join(sep));
    return { path, out, name: bare(join(...parts.slice(at + 1))) };
  });
  const out = placed.find((one) => one.out !== null)?.out ?? null;
  // What an earlier run has written is no photograph.
  const photographs = placed.filter(({ path }) => out === null || !isBelow(path, out));
  if (out === null || photographs.some((one) => one.out !== out)) {
    throw new UsageError("--out is missing: it can be left out where all photographs stand in one folder named HR");
  }
  return { out, sources: photographs.map(({ path, name }) => ({ path, name })) };
}
