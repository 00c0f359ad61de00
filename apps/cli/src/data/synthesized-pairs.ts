/**
 * Training pairs that are made while the network is trained: squares of photographs, degraded on the device, and mixed across batches by a pool as
 * in Real-ESRGAN. What a pair is follows from the seed and its number, and so does what the pool gives at a step: a run that goes on makes
 * the pairs again that its pool held. Of processes that train together each has a pool of its own, of the pairs that it made.
 */
import { degradeMixture, drawMixture, PoolSchedule } from "@deplsr/degradation";
import { cat, clone, type Device, keep, narrow, noGrad, Rng, scope } from "@deplsr/tensor";
import type { SrRunConfig } from "../config/sr.ts";
import type { SynthesizedSet } from "../config/sr-data.ts";
import { randomCrop } from "../degrade/images.ts";
import { mixtureOptions } from "../degrade/options.ts";
import { UserError } from "../errors.ts";
import type { Output } from "../output.ts";
import type { BatchCourse } from "./course.ts";
import { toPlanes } from "./crop.ts";
import type { Image } from "./image.ts";
import { Loader } from "./loader.ts";
import { decoderOf, type PairBatch, type PairBatches } from "./pair-batches.ts";
import { type SkippedItem, warnOfSkipped } from "./skipped.ts";
import { listSources, type Source } from "./sources.ts";

/** Gets the pairs of a run ready. @throws UserError when options do not fit together or no photograph is named */
export async function synthesizedPairs(
  device: Device,
  run: SrRunConfig,
  set: SynthesizedSet,
  { course, output }: { readonly course: BatchCourse; readonly output: Output },
): Promise<PairBatches> {
  const { sources, skipped } = await originals(set);
  const warnOf = warnOfSkipped(output);
  for (const item of skipped) warnOf(item);
  const options = mixtureOptions(run, set);
  const { batch_size_per_gpu: count, crop_pad_size: side, use_shuffle: shuffle } = set;
  const queue = options.heavy.queueSize;
  if (queue % count !== 0) {
    throw new UserError(
      `config: key "queue_size" is ${queue}: expected a multiple of datasets.train.batch_size_per_gpu, ${count}`,
    );
  }
  const seed = run.manual_seed;
  const items = sources.flatMap((source) => Array<Source>(set.dataset_enlarge_ratio).fill(source));
  const decoder = decoderOf(set);
  const loader = new Loader<Image>({
    names: items.map(({ path }) => path),
    batchSize: count,
    batchOf: (turn) => course.batchOf(turn),
    seed,
    shuffle,
    load: async (index) => largeEnough(await decoder.read(items[index]!.path), items[index]!.path, side),
    onSkip: warnOf,
  });
  const { rank } = course;
  const schedule = new PoolSchedule(queue, count, rank === 0 ? new Rng(seed) : new Rng(seed).fork(`rank ${rank}`));
  const squares = new Rng(seed).fork("squares");
  const held = new Map<number, PairBatch>();

  /** Makes the pairs of a turn, from 1, and holds those that are asked for. */
  async function make(turn: number, wanted: (pair: number) => boolean): Promise<void> {
    const photos = await loader.batch(turn);
    const rng = squares.fork(course.batchOf(turn));
    const cuts = photos.map(({ item }, i) => detailedSquare(item, side, set.crop_candidates, rng.fork(i)));
    const draws = drawMixture(rng.integer(2 ** 32), { count, side }, options);
    scope(() =>
      noGrad(() => {
        const { lq, gt } = degradeMixture(device.tensor(toPlanes(cuts), [count, 3, side, side]), draws);
        for (let i = 0; i < count; i++) {
          const pair = (turn - 1) * count + i;
          if (!wanted(pair) || held.has(pair)) continue;
          // Copies, so that a pair does not hold its batch.
          held.set(pair, { lq: keep(clone(narrow(lq, 0, i, 1))), gt: keep(clone(narrow(gt, 0, i, 1))) });
        }
      }),
    );
  }

  return {
    items: items.length,
    perEpoch: loader.batchesPerEpoch,
    files: sources.map(({ path }) => path),
    batch: async (turn) => {
      const { numbers, leave } = schedule.at(turn);
      await make(turn, (pair) => schedule.holds(pair));
      for (const pair of numbers) {
        // One that an earlier process made.
        if (!held.has(pair))
          await make(Math.floor(pair / count) + 1, (other) => other === pair || schedule.holds(other));
      }
      const pairs = numbers.map((pair) => held.get(pair)!);
      const mixed = scope(() =>
        noGrad(() => ({
          lq: cat(
            pairs.map(({ lq }) => lq),
            0,
          ),
          gt: cat(
            pairs.map(({ gt }) => gt),
            0,
          ),
        })),
      );
      for (const pair of leave ? numbers : []) {
        const { lq, gt } = held.get(pair)!;
        held.delete(pair);
        lq.dispose();
        gt.dispose();
      }
      return mixed;
    },
    skipped: () => [...skipped, ...loader.skipped],
  };
}

/** The photographs that a data set names. */
async function originals(
  set: SynthesizedSet,
): Promise<{ sources: readonly Source[]; skipped: readonly SkippedItem[] }> {
  const roots = [set.dataroot_gt ?? []].flat();
  const inputs = set.meta_info === null ? roots : [set.meta_info];
  if (inputs.length === 0) {
    throw new UserError(
      "config: datasets.train.dataroot_gt is missing: a folder of photographs (or meta_info, a list of them)",
    );
  }
  const root = set.meta_info === null ? undefined : roots[0];
  return listSources(inputs, { written: [], ...(root === undefined ? {} : { root }) });
}

/** The one of some random squares with the most detail: photographs are mostly sky, and there is little to learn from it. */
export function detailedSquare(photo: Image, side: number, candidates: number, rng: Rng): Image {
  const squares = Array.from({ length: candidates }, () => randomCrop(photo, side, rng));
  if (candidates === 1) return squares[0]!;
  const details = squares.map(detail);
  return squares[details.indexOf(Math.max(...details))]!;
}

/** The sum of how much neighbours differ in green, in both directions. */
function detail({ width, height, data }: Image): number {
  let sum = 0;
  for (let y = 1; y < height; y++) {
    for (let x = 1; x < width; x++) {
      const at = (y * width + x) * 3 + 1;
      sum += Math.abs(data[at]! - data[at - 3]!) + Math.abs(data[at]! - data[at - 3 * width]!);
    }
  }
  return sum;
}

function largeEnough(image: Image, path: string, side: number): Image {
  const { width, height } = image;
  if (Math.min(width, height) >= side) return image;
  throw new UserError(
    `data: ${path} is ${width}x${height}, smaller than the square of ${side} pixels to be cut from it (crop_pad_size)`,
  );
}
