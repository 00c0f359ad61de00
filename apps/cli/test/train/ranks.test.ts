import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { localGroup } from "@deplsr/distributed/testing";
import { assign, Device, type Tensor } from "@deplsr/tensor";
import { afterAll, describe, expect, test } from "vitest";
import { checkConfig } from "../../src/config/parse.ts";
import { srRun } from "../../src/config/sr.ts";
import { srclipRun } from "../../src/config/srclip.ts";
import { writeImage } from "../../src/data/image.ts";
import { writeFileAtomic } from "../../src/files.ts";
import { followSession } from "../../src/train/follow.ts";
import { type Measured, runSession, type Training } from "../../src/train/session.ts";
import { prepareSr } from "../../src/train/sr.ts";
import { prepareSrclip } from "../../src/train/srclip.ts";
import { picture } from "../pictures.ts";
import { recordedOutput } from "../recorded-output.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { TINY_DAT } from "../tiny-network.ts";
import { pairsIn, TINY_CLIP, writeCaptioned, writePairs } from "../tiny-training.ts";

// One thread: processes divide the machine.
const device = await Device.request({ backend: "cpu", threads: 1 });
afterAll(() => device.destroy());

/** How a training is prepared for each of some processes, with as many batches in each. */
type Prepare = (ranks: number, parts: number) => Promise<Training[]>;

async function sr(
  folder: string,
  train: Readonly<Record<string, unknown>> = {},
  { sets = {}, ...more }: { readonly sets?: object; readonly val?: object } = {},
): Promise<Prepare> {
  await writePairs(folder, [20, 20, 20, 20, 20]);
  return (ranks, parts) => {
    const run = checkConfig(
      {
        name: "tiny",
        scale: 2,
        datasets: { ...pairsIn(folder), ...sets },
        network_g: { ...TINY_DAT, drop_path_rate: 0.2, attn_drop_rate: 0.1, depth: [2] },
        train: {
          ema_decay: 0.9,
          accum_iter: parts,
          grad_clip: 0.5,
          optim_g: { lr: 1e-3 },
          scheduler: { type: "MultiStepLR", milestones: [20] },
          total_iter: 6,
          ...train,
        },
        logger: { save_checkpoint_freq: 3 },
        ...more,
      },
      "tiny.yml",
      srRun,
    );
    return Promise.all(
      localGroup(ranks).map(async (group) => {
        const out = join(folder, "run");
        return (await prepareSr(device, run, out, recordedOutput().output, group)).training;
      }),
    );
  };
}

async function srclip(folder: string, run: Readonly<Record<string, unknown>>): Promise<Prepare> {
  await writeCaptioned(folder, 8);
  return (ranks, parts) => {
    const config = checkConfig(
      {
        name: "tiny",
        model: TINY_CLIP,
        train_data: join(folder, "data.tsv"),
        image_fit: "crop",
        batch_size: 2,
        accum_freq: parts,
        steps: 6,
        warmup: 2,
        lr: 1e-3,
        save_frequency: 3,
        ...run,
      },
      "tiny.yml",
      srclipRun,
    );
    const training = { ...config, train_data: config.train_data! };
    return Promise.all(
      localGroup(ranks).map(async (group) => {
        const place = { folder: join(folder, "run") };
        return (await prepareSrclip(device, training, place, recordedOutput().output, group)).training;
      }),
    );
  };
}

/** The losses of some steps, the same in all processes. */
async function losses(trainings: readonly Training[], steps: number): Promise<number[][]> {
  const curves = trainings.map(async (training) => {
    const curve: number[][] = [];
    for (let step = 1; step <= steps; step++) {
      using values = await training.step(step);
      curve.push(Array.from(await values.data()));
    }
    return curve;
  });
  const [first, ...others] = await Promise.all(curves);
  for (const other of others) expect(other).toEqual(first);
  return first!;
}

/** What was trained, as numbers. */
async function weights({ state }: Training): Promise<Record<string, number[]>> {
  const { model, optimizer } = state();
  const named = [...model, ...optimizer.stateDict().tensors].filter(([name]) => !name.includes("running_"));
  const numbers = named.map(async ([name, tensor]: readonly [string, Tensor]) => [
    name,
    Array.from(await tensor.data()),
  ]);
  return Object.fromEntries(await Promise.all(numbers));
}

/** Expects numbers to agree to rounding, which steps of an optimizer make larger. */
function expectClose(actual: readonly number[][], expected: readonly number[][]): void {
  const far = actual.map((values, i) => Math.max(...values.map((value, k) => Math.abs(value / expected[i]![k]! - 1))));
  expect(Math.max(...far)).toBeLessThan(1e-4);
}

describe.each<[string, (folder: string) => Promise<Prepare>]>([
  ["super-resolution", (folder) => sr(folder)],
  ["super-resolution that leaves steps out", (folder) => sr(folder, { on_nan: "skip" })],
  ["SRCLIP by SigLIP's loss", (folder) => srclip(folder, {})],
  [
    "SRCLIP by CLIP's loss, clipped, with equal texts",
    (folder) => srclip(folder, { siglip: false, multi_positive: true, grad_clip_norm: 0.5, on_nan: "skip" }),
  ],
])("%s", (_, make) => {
  test("has the same curve in one process as in several, of as many batches together", async () => {
    const prepare = await make(temporaryFolder());
    const whole = await losses(await prepare(1, 4), 5);
    for (const [ranks, parts] of [
      [2, 2],
      [4, 1],
    ] as const) {
      const trainings = await prepare(ranks, parts);
      const curve = await losses(trainings, 5);
      expectClose(curve, whole);
      // The first step begins with the same weights: nothing but sums is rounded.
      expectClose([curve[0]!], [whole[0]!]);
      const [first, ...others] = await Promise.all(trainings.map(weights));
      for (const other of others) expect(other).toEqual(first);
    }
    // That it is no matter of course: half as many batches give another one.
    const other = await losses(await prepare(2, 1), 5);
    expect(Math.abs(other[4]![0]! / whole[4]![0]! - 1)).toBeGreaterThan(1e-3);
  });
});

describe("a validation", () => {
  /** What the first process finds with the weights as they are. */
  async function found(trainings: readonly Training[]): Promise<readonly Omit<Measured, "lines">[]> {
    const all = await Promise.all(trainings.map(({ validation }) => validation!.run(1)));
    // The lines of the log say how many epochs are done, of which more processes do more.
    return all[0]!.map(({ dataSet, metrics, pictures }) => ({ dataSet, metrics, pictures }));
  }

  test("of a super-resolution finds in several processes what it finds in one, to the bit, with the statistics of the first", async () => {
    const folder = temporaryFolder();
    await writeFileAtomic(join(folder, "single", "0.png"), "no picture");
    for (let i = 1; i < 12; i++) await writeImage(join(folder, "single", `${i}.png`), picture(50 + i, 100, i));
    const sets = {
      val: { name: "pairs", dataroot_gt: join(folder, "gt"), dataroot_lq: join(folder, "lq") },
      val_1: { name: "single", type: "SingleImageDataset", dataroot_lq: join(folder, "single") },
    };
    const metrics = { psnr: { type: "calculate_psnr", crop_border: 2 }, niqe: { type: "calculate_niqe" } };
    const prepare = await sr(folder, {}, { sets, val: { val_freq: 1, save_img: true, metrics } });
    const alone = await found(await prepare(1, 1));
    expect(alone.map(({ metrics }) => Object.keys(metrics))).toEqual([["psnr"], ["niqe"]]);
    expect(alone.map(({ pictures }) => pictures.map(({ name }) => name))).toEqual([
      ["0", "1", "2", "3", "4"],
      // In the order of the list; the damaged one is left out, and no more than eight are shown.
      ["1", "10", "11", "2", "3", "4", "5", "6"],
    ]);
    const written = readdirSync(join(folder, "run", "visualization", "single"));
    expect(written).toHaveLength(11);
    for (const ranks of [2, 3]) {
      rmSync(join(folder, "run"), { recursive: true });
      const trainings = await prepare(ranks, 1);
      for (const { module, state } of trainings.slice(1)) {
        for (const [name, buffer] of module.buffers()) {
          if (!name.includes("running_")) continue;
          for (const own of [buffer, state().ema!.stateDict().get(name)!]) assign(own, device.full(buffer.shape, 9));
        }
      }
      expect(await found(trainings)).toEqual(alone);
      expect(readdirSync(join(folder, "run", "visualization", "single"))).toEqual(written);
    }
  });

  test("of an SRCLIP finds in several processes what it finds in one", async () => {
    const folder = temporaryFolder();
    const prepare = await srclip(folder, { val_data: join(folder, "data.tsv"), batch_size: 3 });
    const alone = await found(await prepare(1, 1));
    expect(Object.keys(alone[0]!.metrics)).toContain("image_to_text_R@1");
    for (const ranks of [2, 4]) expect(await found(await prepare(ranks, 1))).toEqual(alone);
  });
});

/** Runs all processes of a training to its end. → the bytes of its last checkpoint, and what it said */
async function session(trainings: readonly Training[], folder: string, from: string | null = null) {
  const { output, stdout } = recordedOutput();
  const [first, ...others] = trainings;
  const lead = runSession({ training: first!, folder, config: {}, output, from, resume: from !== null });
  const follow = async (training: Training): Promise<void> => {
    await followSession(training, from);
    // One that went before all is written would take a signal to itself, and the job with it.
    expect(existsSync(join(folder, "checkpoints", `step-${training.total}`))).toBe(true);
  };
  const [result] = await Promise.all([lead, ...others.map(follow)]);
  const bytes = (name: string): string => readFileSync(join(result.checkpoint, name)).toString("base64");
  const files = ["model.safetensors", "optimizer.safetensors", "state.json"];
  return {
    result,
    said: stdout(),
    bytes: files.map(bytes),
    metrics: readFileSync(join(folder, "metrics.jsonl"), "utf8"),
  };
}

describe("a session of two processes", () => {
  test("resumed on as many ends with the same bytes; on others it goes on with the next batch, and says so", async () => {
    const folder = temporaryFolder();
    const prepare = await sr(folder);
    const whole = await session(await prepare(2, 1), join(folder, "whole"));
    expect(whole.said).toContain("2 processes train together");
    const from = join(folder, "whole", "checkpoints", "step-3");
    const again = await session(await prepare(2, 1), join(folder, "again"), from);
    expect(again.bytes).toEqual(whole.bytes);
    expect(JSON.parse(Buffer.from(whole.bytes[2]!, "base64").toString()).course).toEqual({
      since: 0,
      before: 0,
      ranks: 2,
      parts: 1,
    });

    const alone = await session(await prepare(1, 2), join(folder, "alone"), from);
    expect(alone.said).toContain(
      "1 process of 2 batches each where there were 2 processes of 1 batch each: batch 7 of the data set is next all the same",
    );
    const curve = (metrics: string): number[][] =>
      metrics
        .trim()
        .split("\n")
        .map((line) => [JSON.parse(line).l_pix]);
    expectClose(curve(alone.metrics), curve(whole.metrics).slice(3));
  });

  test("names the process whose weights are others", async () => {
    const folder = temporaryFolder();
    const trainings = await (await sr(folder))(2, 1);
    const { step, module } = trainings[1]!;
    const [name, parameter] = [...module.parameters()][3]!;
    const spoilt: Training = {
      ...trainings[1]!,
      step: async (number, clock) => {
        const values = await step(number, clock);
        if (number === 3) assign(parameter, device.zeros(parameter.shape));
        return values;
      },
    };
    await expect(session([trainings[0]!, spoilt], join(folder, "spoilt"))).rejects.toThrow(
      `after step 3 the weights of rank 1 on localhost are not those of rank 0: the first that differs is ${name}`,
    );
  });
});
