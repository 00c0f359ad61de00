import { basename, join, resolve } from "node:path";
import { degradeRun } from "../config/degrade.ts";
import { parseConfig, readConfig } from "../config/parse.ts";
import { resolveBeside } from "../data/captioned.ts";
import { expandInputs } from "../data/folder.ts";
import { readTable } from "../data/tsv.ts";
import { semanticOptions } from "../degrade/options.ts";
import { type Source, synthesize } from "../degrade/synthesize.ts";
import { UsageError } from "../errors.ts";
import { type Command, type Context, type DeviceFlags, deviceFlags, withDevice } from "./command.ts";

interface DegradeFlags extends DeviceFlags {
  readonly images: string[];
  readonly out: string;
  readonly config: string | undefined;
  readonly captions: string | undefined;
  readonly caption: string;
  readonly count: number;
  readonly fit: "squash" | "crop";
  readonly chain: "reference" | "sequential";
  readonly size: number | undefined;
  readonly seed: number | undefined;
}

/** `deplsr degrade`: photographs to a data set of degraded images with captions. */
export const degrade: Command<DegradeFlags> = {
  command: "degrade <images..>",
  describe: "Degrade photographs and write what was done to each: PNG files and a TSV",
  options: (yargs) =>
    deviceFlags(yargs)
      .positional("images", {
        type: "string",
        array: true,
        demandOption: true,
        describe: "Photographs, or folders of them",
      })
      .option("out", { type: "string", demandOption: true, describe: "Folder for the PNG files and degraded.tsv" })
      .option("config", { type: "string", describe: "How to degrade; options/degrade.yml shows the defaults" })
      .option("captions", { type: "string", describe: "TSV with filepath and title of the photographs" })
      .option("caption", { type: "string", default: "a photo", describe: "Caption of photographs without one" })
      .option("count", { type: "number", default: 1, describe: "Degraded versions of each photograph" })
      .option("fit", {
        choices: ["squash", "crop"] as const,
        default: "squash" as const,
        describe: "Squash the whole photograph to the square, or cut random squares out at native resolution",
      })
      .option("chain", {
        choices: ["reference", "sequential"] as const,
        default: "reference" as const,
        describe: "One blur and noise, as published, or both stages one after the other",
      })
      .option("size", {
        type: "number",
        describe: "Side of the degraded images, instead of the configuration's lq_size",
      })
      .option("seed", { type: "number", describe: "Instead of the configuration's manual_seed" })
      .example("$0 degrade photos/ --out data/", "One degraded version of every photograph, 224 pixels square")
      .example(
        "$0 degrade a.jpg b.jpg --out data/ --count 50 --fit crop --size 64",
        "A hundred squares at native resolution",
      ),
  run: async (flags, context) => {
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
  },
};

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
