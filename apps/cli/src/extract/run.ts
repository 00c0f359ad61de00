import { basename, dirname, join } from "node:path";
import type { Context } from "../commands/command.ts";
import { crop } from "../data/crop.ts";
import { gridOf } from "../data/grid.ts";
import { LARGEST_SIDE, readImage, writeImage } from "../data/image.ts";
import { inParallel } from "../data/jobs.ts";
import { listSkipped, type SkippedItem } from "../data/skipped.ts";
import { listSources, refuseSharedNames } from "../data/sources.ts";
import { oneLine, UsageError, UserError, WriteError } from "../errors.ts";
import { removeLeftovers } from "../files.ts";
import { checkWhole, MOST_JOBS, refuseExisting } from "../flags.ts";
import { counted } from "../output.ts";

/** The flags of `deplsr extract`. */
export interface ExtractFlags {
  readonly images: string[];
  readonly out: string;
  readonly size: number;
  readonly step: number | undefined;
  readonly threshold: number;
  readonly template: string;
  readonly jobs: number;
  readonly overwrite: boolean;
}

/** Does what `deplsr extract` asks for. */
export async function runExtract(flags: ExtractFlags, { output }: Context): Promise<void> {
  const started = performance.now();
  const { out, size, step = Math.ceil(size / 2), threshold, jobs } = flags;
  checkWhole("size", size, 1, LARGEST_SIDE);
  checkWhole("step", step, 1);
  checkWhole("threshold", threshold, 0);
  checkWhole("jobs", jobs, 1, MOST_JOBS);
  const { sources, skipped: unusable } = await listSources(flags.images, { written: [out] });
  const named = sources.map(({ path, name }) => ({ path, name: untemplated(name, flags.template) }));
  const fileOf = (name: string, number: number): string => join(out, `${name}_s${String(number).padStart(3, "0")}.png`);
  refuseSharedNames(named, (name) => fileOf(name, 1));
  for (const { name } of named) await refuseExisting("extract", fileOf(name, 1), flags.overwrite);
  for (const folder of new Set(named.map(({ name }) => dirname(fileOf(name, 1))))) await removeLeftovers(folder);
  const bar = output.progress("extract", sources.length, "image");
  const skipped: SkippedItem[] = [...unusable];
  let [done, squares] = [0, 0];
  await inParallel(named, jobs, async ({ path, name }) => {
    try {
      const image = await readImage(path);
      const grid = gridOf(image, { size, step, threshold });
      if (grid.length === 0) {
        throw new UserError(
          `extract: ${path} is ${image.width}x${image.height}, smaller than the square of ${size} pixels`,
        );
      }
      for (const [i, square] of grid.entries()) await writeImage(fileOf(name, i + 1), crop(image, square));
      squares += grid.length;
    } catch (error) {
      if (!(error instanceof UserError) || error instanceof WriteError) throw error;
      skipped.push({ name: path, reason: oneLine(error) });
    }
    bar.update(++done);
  });
  bar.finish();
  skipped.sort((a, b) => (a.name < b.name ? -1 : 1));
  if (squares === 0) throw new UserError(`extract: no squares could be cut: ${skipped[0]?.reason ?? "no images"}`);
  listSkipped(output, skipped, `${skipped.length} of ${counted(sources.length, "image")}`);
  output.line(`${counted(squares, "square")} of ${counted(size, "pixel")} in ${out}`);
  output.result({ images: sources.length, squares, skipped, ms: Math.round(performance.now() - started) });
}

/** What stands for `{}` in a name that follows the template; other names stay. */
function untemplated(name: string, template: string): string {
  const [before = "", after, more] = template.split("{}");
  if (after === undefined || more !== undefined)
    throw new UsageError(`--template ${template}: write {} once, for the name`);
  const file = basename(name);
  const fits = file.length > before.length + after.length && file.startsWith(before) && file.endsWith(after);
  return fits ? join(dirname(name), file.slice(before.length, file.length - after.length)) : name;
}
