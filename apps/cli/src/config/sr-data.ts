/** The data sets of super-resolution's configurations: pairs on the disk, pairs that are made on the way, and images to measure on. */
import { z } from "zod";
import { secondOrderKeys, semanticKeys } from "./degrade.ts";
import { count, countOrZero, folders, ioBackend, optionalPath, probability } from "./fields.ts";
import { isGroup } from "./schema.ts";

const dataset = z.strictObject({
  /** A label. */
  task: z.string().optional(),
  name: z.string().default("data"),
  dataroot_gt: folders,
  dataroot_lq: folders,
  meta_info: optionalPath,
  /** Names the originals, one a line, where not all of `dataroot_gt` are wanted. */
  meta_info_file: optionalPath,
  filename_tmpl: z.string().default("{}"),
  io_backend: ioBackend,
  /** Subtracted from both images, in [0, 1]: a number for each channel. */
  mean: z.array(z.number()).min(1).optional(),
  /** What both images are divided by after that: a number for each channel. */
  std: z.array(z.number().positive()).min(1).optional(),
  /** `y`: both images become their luma, of one channel. */
  color: z.literal("y").optional(),
  num_worker_per_gpu: countOrZero.optional(),
  batch_size_per_gpu: count.optional(),
  prefetch_mode: z.string().optional(),
  num_prefetch_queue: count.optional(),
  pin_memory: z.boolean().optional(),
  persistent_workers: z.boolean().optional(),
});

const trained = dataset.extend({
  /** Side of the square crops of the originals; the low-quality crops have this over the scale. */
  gt_size: count.default(256),
  use_hflip: z.boolean().default(true),
  use_rot: z.boolean().default(true),
  use_shuffle: z.boolean().default(true),
  /** Images decoded at a time; as many as there are cores where it is left out. */
  num_worker_per_gpu: countOrZero.optional(),
  batch_size_per_gpu: count.default(4),
  dataset_enlarge_ratio: count.default(1),
});

const pairedSet = trained.extend({
  /** `PairedImageDataset`: two folders. `PairedImageDataset_LSDIR`: a TSV of originals beside folders HR and RealLQ / RealLQx4. */
  type: z
    .enum(["PairedImageDataset", "PairedImageDataset_LSDIR", "SingleImageDataset"])
    .default("PairedImageDataset")
    .refine((type) => type !== "SingleImageDataset", {
      message:
        "a data set with originals to learn from: PairedImageDataset, PairedImageDataset_LSDIR or RealESRGANDataset",
    }),
});

/** Originals alone, of which pairs are made while the network is trained. */
const synthesizedSet = trained.omit({ dataroot_lq: true, filename_tmpl: true, meta_info_file: true }).extend({
  type: z.literal("RealESRGANDataset"),
  use_rot: z.boolean().default(false),
  /** Side of the squares that are degraded, before one of `gt_size` is cut out. */
  crop_pad_size: count.default(400),
  /** So many random squares of a photograph are looked at, and that with the most detail is taken. */
  crop_candidates: count.default(1),
  /** Shares of pairs whose low-quality image is only made smaller, made smaller and then degraded as `light` says, or degraded as Real-ESRGAN does. */
  mixture: z
    .strictObject({ clean: probability.default(0), light: probability.default(0), heavy: probability.default(0) })
    .refine(({ clean, light, heavy }) => Math.abs(clean + light + heavy - 1) < 1e-6, { message: "shares of 1" })
    .default({ clean: 0, light: 0, heavy: 1 }),
  light: z.strictObject(semanticKeys).prefault({}),
  ...secondOrderKeys,
});

/** A file that does not say its type has two folders. */
const trainingSet = z.preprocess(
  (set) => (isGroup(set) && set.type === undefined ? { ...set, type: "PairedImageDataset" } : set),
  z.discriminatedUnion("type", [pairedSet, synthesizedSet]),
);

/** Images that a network is measured on; a `SingleImageDataset` has no originals, only `dataroot_lq`. */
export const measuredSet = dataset.extend({
  type: z.enum(["PairedImageDataset", "PairedImageDataset_LSDIR", "SingleImageDataset"]).default("PairedImageDataset"),
});

/** The data sets of a training: `train`, and the sets that are measured on while training: `val`, `val_1`, `val_set5` ... */
export const trainingSets = z
  .record(z.string().regex(/^(train|val(_\w+)?)$/), z.unknown())
  .pipe(z.object({ train: trainingSet, val: measuredSet.optional() }).catchall(measuredSet));

/** A data set that is measured on. */
export type MeasuredSet = z.output<typeof measuredSet>;
/** Pairs on the disk. */
export type PairedSet = z.output<typeof pairedSet>;
/** Originals of which pairs are made while the network is trained. */
export type SynthesizedSet = z.output<typeof synthesizedSet>;
