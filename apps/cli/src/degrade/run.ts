import { basename, join, resolve } from "node:path";
import type { Context } from "../commands/command.ts";
import type { DegradeFlags } from "../commands/degrade.ts";
import { degradeRun } from "../config/degrade.ts";
import { parseConfig, readConfig } from "../config/parse.ts";
import { resolveBeside } from "../data/captioned.ts";
import { expandInputs } from "../data/folder.ts";
import { readTable } from "../data/tsv.ts";
import { semanticOptions } from "../degrade/options.ts";
import { type Source, synthesize } from "../degrade/synthesize.ts";
import { withDevice } from "../device.ts";
import { UsageError } from "../errors.ts";

/** Does what `deplsr degrade` asks for. */
export async function runDegrade(flags: DegradeFlags, context: Context): Promise<void> {
  const { output } = context;
  if (!Number.isInteger(flags.count) || flags.count < 1)
    throw new UsageError(`--count ${flags.count} must be a whole number above 0`);
  const file = flags.config ?? "(defaults)";
  const { config, warnings } =
    flags.config === undefined ? parseConfig("", file, degradeRun) : await readConfig(flags.config, degradeRun);
  for (const warning of warnings) output.warn(warning);
  const options = semanticOptions(
    { ...config.datasets.train, lq_size: flags.size ?? config.datasets.train.lq_size },
    file,
  );
  const sources = await withTitles(await expandInputs(flags.images), flags, context);
  const started = performance.now();
  const table = join(flags.out, "degraded.tsv");
  const { images, skipped } = await withDevice(flags, context, (device) =>
    synthesize(
      device,
      {
        sources,
        count: flags.count,
        fit: flags.fit,
        options,
        chain: flags.chain,
        seed: flags.seed ?? config.manual_seed,
        folder: flags.out,
        table,
        batchSize: flags.fit === "crop" ? 16 : 1,
      },
      output,
    ),
  );
  const left = skipped.length > 0 ? `; ${skipped.length} of ${sources.length} photographs were left out` : "";
  output.line(`wrote ${images.length} images and ${table}${left}`);
  output.result({ images, tsv: table, skipped, ms: Math.round(performance.now() - started) });
}

/** The photographs with their captions: found in the TSV by path, else by name, else the common one. */
async function withTitles(paths: readonly string[], flags: DegradeFlags, { output }: Context): Promise<Source[]> {
  if (flags.captions === undefined) return paths.map((path) => ({ path, title: flags.caption }));
  const { rows, bad } = await readTable(flags.captions, ["filepath", "title"]);
  for (const { line, reason } of bad) output.warn(`tsv: ${flags.captions} line ${line} is left out: ${reason}`);
  const byPath = new Map(rows.map((row) => [resolve(resolveBeside(flags.captions!, row.filepath!)), row.title!]));
  const byName = new Map(rows.map((row) => [basename(row.filepath!), row.title!]));
  const titled = paths.map((path) => ({ path, title: byPath.get(resolve(path)) ?? byName.get(basename(path)) }));
  const missing = titled.filter(({ title }) => title === undefined).length;
  if (missing > 0)
    output.warn(
      `${missing} of ${paths.length} photographs have no caption in ${flags.captions}: they get "${flags.caption}"`,
    );
  return titled.map(({ path, title }) => ({ path, title: title ?? flags.caption }));
}
