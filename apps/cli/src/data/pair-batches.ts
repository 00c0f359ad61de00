/** Batches of training pairs on the device: each follows from the seed and its place in the data set alone, so that a run can go on at any of them. */
import { type Device, Rng, type Tensor } from "@deplsr/tensor";
import type { PairedSet } from "../config/sr-data.ts";
import type { Output } from "../output.ts";
import type { BatchCourse } from "./course.ts";
import { toPlanes } from "./crop.ts";
import { Decoder } from "./decoder.ts";
import { Loader } from "./loader.ts";
import { listPairs, type Pair, type PairPaths, randomPatch, readPair } from "./paired.ts";
import { type SkippedItem, warnOfSkipped } from "./skipped.ts";

/** Low-quality images (b, 3, h, w) and their originals (b, 3, s·h, s·w), RGB in [0, 1]. */
export interface PairBatch {
  readonly lq: Tensor;
  readonly gt: Tensor;
}

/** The pairs of a training. */
export interface PairBatches {
  /** Items of the data set. */
  readonly items: number;
  readonly perEpoch: number;
  /** What the items are made of, for comparing data sets. */
  readonly files: readonly string[];
  /** The batch of a turn of the course, from 1; it is the caller's to dispose. @throws UserError when no item at all can be loaded */
  readonly batch: (turn: number) => Promise<PairBatch>;
  /** Items that could not be used so far. */
  readonly skipped: () => readonly SkippedItem[];
}

/** What batches are made with. */
export interface BatchOptions {
  readonly scale: number;
  readonly seed: number;
  readonly course: BatchCourse;
  readonly output: Output;
}

/** Squares cut out of pairs on the disk. @throws UserError as `listPairs` */
export async function storedPairs(
  device: Device,
  source: PairedSet,
  { scale, seed, course, output }: BatchOptions,
): Promise<PairBatches> {
  const { pairs, skipped } = await listPairs(source, scale, "datasets.train");
  const warnOf = warnOfSkipped(output);
  for (const item of skipped) warnOf(item);
  const items = pairs.flatMap((pair) => Array<PairPaths>(source.dataset_enlarge_ratio).fill(pair));
  const decoder = decoderOf(source);
  const size = source.gt_size / scale;
  const loader = new Loader<Pair>({
    names: items.map(({ lq }) => lq),
    batchSize: source.batch_size_per_gpu,
    batchOf: (turn) => course.batchOf(turn),
    seed,
    shuffle: source.use_shuffle,
    load: (index) => readPair(items[index]!, scale, size, decoder.read),
    onSkip: warnOf,
  });
  const patches = new Rng(seed).fork("patches");
  const augmentation = { flip: source.use_hflip, rotate: source.use_rot };
  return {
    items: items.length,
    perEpoch: loader.batchesPerEpoch,
    files: pairs.flatMap(({ gt, lq }) => [gt, lq]),
    batch: async (turn) => {
      const batch = await loader.batch(turn);
      const rng = patches.fork(course.batchOf(turn));
      const cuts = batch.map(({ item }, i) => randomPatch(item, size, augmentation, rng.fork(i)));
      const images = (side: "lq" | "gt"): Tensor => {
        const list = cuts.map((cut) => cut[side]);
        return device.tensor(toPlanes(list), [list.length, 3, list[0]!.height, list[0]!.width]);
      };
      return { lq: images("lq"), gt: images("gt") };
    },
    skipped: () => [...skipped, ...loader.skipped],
  };
}

/** The reader of a data set's images. */
export function decoderOf({ num_worker_per_gpu: workers }: Pick<PairedSet, "num_worker_per_gpu">): Decoder {
  return new Decoder(workers === undefined ? {} : { workers });
}
