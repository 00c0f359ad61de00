/** The command `captions`: what photographs show, as a list that trainings and `degrade` read. */
import { extname } from "node:path";
import type { CaptionFlags, Context } from "../commands/command.ts";
import { type Captioner, checkCaptionFlags, readCaptioner } from "../data/captioner.ts";
import { inParallel } from "../data/jobs.ts";
import { listSkipped, MOST_NAMED } from "../data/skipped.ts";
import { listSources } from "../data/sources.ts";
import { oneLine, UsageError, UserError, WriteError } from "../errors.ts";
import { checkWhole, MOST_JOBS } from "../flags.ts";
import { counted, type Output } from "../output.ts";
import { CaptionTable } from "./table.ts";

/** The flags of `deplsr captions`. */
export interface CaptionsFlags extends CaptionFlags {
  readonly images: readonly string[];
  readonly out: string;
  readonly jobs: number;
  readonly overwrite: boolean;
}

/** Does what `deplsr captions` asks for. */
export async function runCaptions(flags: CaptionsFlags, { output }: Context): Promise<void> {
  const started = performance.now();
  const { out } = flags;
  checkCaptionFlags(flags);
  checkWhole("jobs", flags.jobs, 1, MOST_JOBS);
  checkTableName(out);
  const { sources, skipped, titles } = await listSources(flags.images, { written: [], root: flags.root });
  const paths = sources.map(({ path }) => path);
  const { known, ask } = await readCaptioner({ sources, skipped, titles }, { ...flags, fallback: null }, output);
  const table = await CaptionTable.open(out, flags.overwrite);
  const kept = paths.filter((path) => table.titleOf(path) !== undefined).length;
  const missing = paths.filter((path) => table.titleOf(path) === undefined);
  await table.begin(missing.map((path) => [path, known(path) ?? ""] as const).filter(([, title]) => title !== ""));

  const failed =
    ask === null ? new Map<string, string>() : await askFor(paths, ask, { table, jobs: flags.jobs, output });
  await table.finish(paths);

  listSkipped(output, skipped, counted(skipped.length, "entry of the lists", "entries of the lists"), MOST_NAMED);
  if (failed.size > 0) output.warn(`${counted(failed.size, "caption")} failed; run again to try once more`);
  const without = paths.filter((path) => table.titleOf(path) === undefined).length;
  const parts = [
    ...(kept > 0 ? [`${kept} captioned by an earlier run`] : []),
    ...(without > 0 ? [`${without} without a caption`] : []),
  ];
  output.line(`${counted(paths.length, "photograph")} in ${out}${parts.length > 0 ? `: ${parts.join(", ")}` : ""}`);
  output.result({
    tsv: out,
    images: paths.map((path) => ({ in: path, title: table.titleOf(path) ?? null })),
    kept,
    failed: paths.filter((path) => failed.has(path)).map((path) => ({ name: path, reason: failed.get(path)! })),
    skipped,
    ms: Math.round(performance.now() - started),
  });
  if (failed.size > 0 || skipped.length > 0) process.exitCode = 1;
}

/** Asks for the captions that are missing. @returns why it failed, of the photographs for which it did */
async function askFor(
  paths: readonly string[],
  ask: NonNullable<Captioner["ask"]>,
  { table, jobs, output }: { readonly table: CaptionTable; readonly jobs: number; readonly output: Output },
): Promise<ReadonlyMap<string, string>> {
  const missing = paths.filter((path) => table.titleOf(path) === undefined);
  const failed = new Map<string, string>();
  let done = paths.length - missing.length;
  const bar = output.progress("captions", paths.length, "photograph").startAt(done);
  await inParallel(missing, jobs, async (path) => {
    try {
      table.add(path, await ask(path));
    } catch (error) {
      if (!(error instanceof UserError) || error instanceof WriteError) throw error;
      failed.set(path, oneLine(error));
      if (failed.size <= MOST_NAMED) output.warn(oneLine(error));
    }
    bar.update(++done, failed.size > 0 ? `${failed.size} failed` : "");
  });
  bar.finish();
  return failed;
}

/** @throws UsageError for a name that would not be read as a table */
export function checkTableName(out: string): void {
  if ([".tsv", ".csv"].includes(extname(out).toLowerCase())) return;
  throw new UsageError(`${out} must end in .tsv or .csv: it is read as a table of cells with tabs between by its name`);
}
