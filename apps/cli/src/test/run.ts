/** The command `test`: what the original's `basicsr/test.py` does with an option file. */
import { mkdir, rename } from "node:fs/promises";
import { freemem } from "node:os";
import { join } from "node:path";
import type { ProcessGroup } from "@deplsr/distributed";
import { type RestoreOptions, Restorer } from "@deplsr/restore";
import type { Device } from "@deplsr/tensor";
import type { DeviceFlags, SharedContext } from "../commands/command.ts";
import type { SettingFlags } from "../commands/train-flags.ts";
import { readConfig } from "../config/parse.ts";
import { fromForceYml, fromSet } from "../config/set.ts";
import { type SrTestConfig, srTest } from "../config/sr.ts";
import { unusedWarnings } from "../config/unused.ts";
import type { Image } from "../data/image.ts";
import { withDevice } from "../device.ts";
import { UserError } from "../errors.ts";
import { makeFolder, sortedNames, writeFileAtomic } from "../files.ts";
import { type ImageSet, listSet, type Mean, measureSet } from "../measure/set.ts";
import { networkOfRun } from "../networks/run-network.ts";
import { counted, Output } from "../output.ts";
import { fromFirst } from "../ranks/exchange.ts";
import { checkSame } from "../ranks/same.ts";
import { checkSameWeights } from "../ranks/same-files.ts";
import { timeStamp } from "../run-folder.ts";
import { validationMetrics, withMetrics } from "../train/validation-metrics.ts";

/** The flags of `deplsr test`. */
export interface TestFlags extends DeviceFlags, SettingFlags {
  readonly config: string;
  readonly out: string | undefined;
}

/** Where the images go. */
const PICTURES = "visualization";

/** Does what `deplsr test` asks for. */
export async function runTest(flags: TestFlags, { group, ...context }: SharedContext): Promise<void> {
  // The first process tells for all.
  const output = group.rank === 0 ? context.output : Output.silent();
  const now = new Date();
  const settings = [...fromForceYml(flags.force_yml), ...fromSet(flags.set)];
  const { config, warnings } = await readConfig(flags.config, srTest, settings);
  await checkSame(group, { config });
  // What a training passes over is obeyed here.
  const read = { ...config, val: { ...config.val, use_chop: false } };
  for (const warning of [...warnings, ...unusedWarnings(read)]) output.warn(warning);
  if (config.path.pretrain_network_g === null) {
    throw new UserError('config: key "path.pretrain_network_g" is missing: the weights that are tested');
  }
  const folder = flags.out ?? join("results", config.name);
  const { sets, tileBytes } = await fromFirst(group, async () => {
    const sets = await setsOf(config);
    await makeRoom(folder, now, output);
    return { sets, tileBytes: freemem() / 4 };
  });
  const lines: string[] = [];
  const say = (line: string): void => {
    output.line(line);
    lines.push(line);
  };
  const warn = (line: string): void => {
    output.warn(line);
    lines.push(`warning: ${line}`);
  };
  const results: Record<string, Record<string, number>> = {};
  try {
    await withDevice(flags, { output }, async (device) => {
      const { network, srclip, prompt } = await networkOfRun(device, config, output);
      await checkSameWeights(group, network.module, srclip);
      const { type } = config.network_g;
      say(`network: ${type} x${config.scale} of ${config.path.pretrain_network_g}`);
      const restorer = new Restorer(device, { network, srclip, ...(srclip ? { prompt } : {}) });
      const enlarge = enlargerOf(restorer, config.val.use_chop ? null : tileBytes);
      const testing = { config, device, folder, output, warn, enlarge, group };
      for (const set of sets) {
        const means = await testSet(set, testing);
        for (const line of resultLines(set, means)) say(line);
        results[set.name] = Object.fromEntries([...means].map(([name, { value }]) => [name, value]));
      }
    });
  } finally {
    if (lines.length > 0 && group.rank === 0)
      await writeFileAtomic(join(folder, logName(config.name, now)), `${lines.join("\n")}\n`);
  }
  output.line(`results: ${folder}`);
  output.result({ name: config.name, out: folder, results });
}

/** The sets by their keys, `test_1` before `test_2`. @throws UserError when one cannot be listed, or two have one name */
async function setsOf({ datasets, scale }: SrTestConfig): Promise<ImageSet[]> {
  const found = Object.entries(datasets).filter(([, set]) => set !== undefined);
  if (found.length === 0) throw new UserError("config: datasets has nothing to test on: add test_1");
  const sets = await Promise.all(found.map(([key, set]) => listSet(key, set!, scale)));
  const names = sets.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) throw new UserError(`config: two of datasets have the name ${twice}: give others`);
  const empty = sets.findIndex(({ items }) => items.length === 0);
  if (empty >= 0) throw new UserError(`config: datasets.${found[empty]![0]} holds no images: check its folders`);
  return sets;
}

/** Makes the folder of the results; those of an earlier test are kept under another name, as in the original. */
async function makeRoom(folder: string, now: Date, output: Output): Promise<void> {
  const names = await sortedNames(folder).catch(() => []);
  if (names.length > 0) {
    // A test that was killed has images only.
    if (!names.some((name) => /^test_.*\.log$/.test(name)) && names.some((name) => name !== PICTURES)) {
      throw new UserError(`test: ${folder} holds something that is no test's results: choose another --out`);
    }
    const archive = `${folder}_archived_${timeStamp(now)}`;
    await rename(folder, archive);
    output.line(`the results that stood in ${folder} are now in ${archive}`);
  }
  await makeFolder(folder);
}

function logName(name: string, now: Date): string {
  return `test_${name}_${timeStamp(now)}.log`;
}

/**
 * As the reference enlarges: cut as it does with `use_chop`, else the image as a whole, or in tiles where there is no memory for that.
 *
 * @param tileBytes what a tile may take; null for `use_chop`
 */
function enlargerOf(restorer: Restorer, tileBytes: number | null): (image: Image) => Promise<Image> {
  const how: RestoreOptions = tileBytes === null ? { tile: 200, blend: "reference" } : { tile: "auto", tileBytes };
  return async (image) => {
    const { width, height, data } = await restorer.restore(image, { ...how, colour: "free" });
    return { width, height, data: data as Uint8Array }; // as deep as the image
  };
}

interface Testing {
  readonly config: SrTestConfig;
  readonly device: Device;
  readonly folder: string;
  readonly output: Output;
  readonly warn: (line: string) => void;
  readonly enlarge: (image: Image) => Promise<Image>;
  readonly group: ProcessGroup;
}

async function testSet(
  set: ImageSet,
  { config, device, folder, output, warn, enlarge, group }: Testing,
): Promise<ReadonlyMap<string, Mean>> {
  const { metrics: asked = {}, save_img: saves, suffix } = config.val;
  const metrics = await validationMetrics(device, asked, warn);
  const pictures = join(folder, PICTURES, set.name);
  if (saves) await mkdir(pictures, { recursive: true });
  const bar = output.progress(`test ${set.name}`, set.items.length, "image");
  try {
    const { means } = await withMetrics(
      metrics,
      warn,
      (ready) =>
        measureSet(set, {
          scale: config.scale,
          metrics: ready,
          enlarge,
          place: ({ name }) => (saves ? join(pictures, `${name}_${suffix ?? config.name}.png`) : null),
          onItem: (done) => bar.update(done),
          warn: (line) => warn(`${set.name}: ${line}`),
          group,
        }),
      group,
    );
    return means;
  } finally {
    bar.finish();
  }
}

/** In the words of the original's logs; a mean over fewer images than there are says so. */
function resultLines({ name, items }: ImageSet, means: ReadonlyMap<string, Mean>): string[] {
  const lines = [...means].map(([metric, { value, images }]) => {
    const of = images < items.length ? ` (over ${images} of ${counted(items.length, "image")})` : "";
    return `\t # ${metric}: ${value.toFixed(4)}${of}`;
  });
  return [`Validation ${name}`, ...(lines.length > 0 ? lines : ["\t no metric could be measured"])];
}
