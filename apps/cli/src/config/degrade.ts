/**
 * The configurations of `deplsr degrade`: the reference's `options/train_srclip.yml` (spec/degradation.md, 6) and Real-ESRGAN's
 * `train_realesrgan_x4plus.yml` (8), so that these files load unchanged. What only their trainings need is read and unused.
 */
import { SECOND_ORDER_OPTIONS } from "@deplsr/degradation";
import { z } from "zod";
import { LARGEST_SIDE } from "../data/image.ts";
import { count, countOrZero, optionalPath, probability, range } from "./fields.ts";

const kernelType = z.enum(["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso"]);
const kernelList = z.array(kernelType).min(1);
const shares = z.array(probability).min(1);

/** What every data set has. */
const dataset = {
  name: z.string().default("data"),
  /** A folder of originals, or a list of them; used where the command line names none. */
  dataroot_gt: optionalPath,
  meta_info: optionalPath,
  io_backend: z.strictObject({ type: z.literal("disk") }).default({ type: "disk" }),
  use_hflip: z.boolean().default(false),
  use_rot: z.boolean().default(false),
  use_shuffle: z.boolean().optional(),
  num_worker_per_gpu: countOrZero.optional(),
  batch_size_per_gpu: count.optional(),
  dataset_enlarge_ratio: count.optional(),
  prefetch_mode: z.string().nullable().optional(),
};

/** What the semantic-driven pipeline is drawn from. */
export const semanticKeys = {
  blur_kernel_size: count.default(21),
  kernel_list: kernelList.default(["iso", "aniso"]),
  kernel_prob: shares.default([0.5, 0.5]),
  sinc_prob: probability.default(0),
  /** Lower end, upper end (not reached), step. */
  blur_sigma: z.tuple([z.number(), z.number(), z.number()]).default([0, 3, 0.1]),
  betag_range: range.default([0.5, 4]),
  betap_range: range.default([1, 2]),
  blur_kernel_size2: count.default(21),
  kernel_list2: kernelList.default(["iso", "aniso"]),
  kernel_prob2: shares.default([0.5, 0.5]),
  sinc_prob2: probability.default(0),
  blur_sigma2: range.default([0, 3]),
  betag_range2: range.default([0.5, 4]),
  betap_range2: range.default([1, 2]),
  gaussian_noise_prob: probability.default(0.5),
  noise_range: range.default([0, 30]),
  poisson_noise_prob: probability.default(0.5),
  poisson_scale_range: range.default([0, 3]),
  jpeg_range: range.default([30, 95]),
  final_sinc_prob: probability.default(0.2),
};

const semantic = z.strictObject({
  ...dataset,
  type: z.literal("SRClipDataset").default("SRClipDataset"),
  ...semanticKeys,
  lq_size: count.max(LARGEST_SIDE).default(224),
  /** Ours: widens the filter of the last resizing where the image shrinks. */
  antialias: z.boolean().default(false),
});

/** What every file has. */
const run = {
  name: z.string().default("degrade"),
  model_type: z.string().default("RealESRGANModel"),
  num_gpu: z.union([z.literal("auto"), count]).default("auto"),
  manual_seed: countOrZero.default(0),
};

/** The schema of the semantic-driven pipeline. */
export const semanticRun = z.strictObject({
  ...run,
  scale: count.optional(),
  datasets: z.strictObject({ train: semantic.prefault({}), val: semantic.optional() }).prefault({}),
});

/** The values that the pipeline has where nothing is said. */
const OPTIONS = SECOND_ORDER_OPTIONS;

/** What the data sets of Real-ESRGAN say of blurs. */
export const secondOrderKeys = {
  blur_kernel_size: count.default(OPTIONS.blurKernelSize),
  kernel_list: kernelList.default([...OPTIONS.kernelList]),
  kernel_prob: shares.default([...OPTIONS.kernelProb]),
  sinc_prob: probability.default(OPTIONS.sincProb),
  blur_sigma: range.default([...OPTIONS.blurSigma]),
  betag_range: range.default([...OPTIONS.betagRange]),
  betap_range: range.default([...OPTIONS.betapRange]),
  blur_kernel_size2: count.default(OPTIONS.blurKernelSize2),
  kernel_list2: kernelList.default([...OPTIONS.kernelList2]),
  kernel_prob2: shares.default([...OPTIONS.kernelProb2]),
  sinc_prob2: probability.default(OPTIONS.sincProb2),
  blur_sigma2: range.default([...OPTIONS.blurSigma2]),
  betag_range2: range.default([...OPTIONS.betagRange2]),
  betap_range2: range.default([...OPTIONS.betapRange2]),
  final_sinc_prob: probability.default(OPTIONS.finalSincProb),
};

/** What Real-ESRGAN's files say at their root, of resizing, noise and JPEG in both stages. */
export const secondOrderRootKeys = {
  resize_prob: shares.optional(),
  resize_range: range.optional(),
  gaussian_noise_prob: probability.optional(),
  noise_range: range.optional(),
  poisson_scale_range: range.optional(),
  gray_noise_prob: probability.optional(),
  jpeg_range: range.optional(),
  second_blur_prob: probability.optional(),
  resize_prob2: shares.optional(),
  resize_range2: range.optional(),
  gaussian_noise_prob2: probability.optional(),
  noise_range2: range.optional(),
  poisson_scale_range2: range.optional(),
  gray_noise_prob2: probability.optional(),
  jpeg_range2: range.optional(),
  /** Pairs that are mixed with each other, a multiple of the batch. */
  queue_size: count.optional(),
};

type RootKeys = {
  [Key in keyof typeof secondOrderRootKeys]-?: NonNullable<z.output<(typeof secondOrderRootKeys)[Key]>>;
};

/** Their values where they are left out. */
export const SECOND_ORDER_ROOT: RootKeys = {
  resize_prob: [...OPTIONS.resizeProb],
  resize_range: [...OPTIONS.resizeRange],
  gaussian_noise_prob: OPTIONS.gaussianNoiseProb,
  noise_range: [...OPTIONS.noiseRange],
  poisson_scale_range: [...OPTIONS.poissonScaleRange],
  gray_noise_prob: OPTIONS.grayNoiseProb,
  jpeg_range: [...OPTIONS.jpegRange],
  second_blur_prob: OPTIONS.secondBlurProb,
  resize_prob2: [...OPTIONS.resizeProb2],
  resize_range2: [...OPTIONS.resizeRange2],
  gaussian_noise_prob2: OPTIONS.gaussianNoiseProb2,
  noise_range2: [...OPTIONS.noiseRange2],
  poisson_scale_range2: [...OPTIONS.poissonScaleRange2],
  gray_noise_prob2: OPTIONS.grayNoiseProb2,
  jpeg_range2: [...OPTIONS.jpegRange2],
  queue_size: OPTIONS.queueSize,
};

/** The values of a run, those that it does not say filled in. */
export function secondOrderRoot(run: { readonly [Key in keyof RootKeys]?: RootKeys[Key] | undefined }): RootKeys {
  const said = Object.keys(SECOND_ORDER_ROOT).flatMap((key) => {
    const value = run[key as keyof RootKeys];
    return value === undefined ? [] : [[key, value]];
  });
  return { ...SECOND_ORDER_ROOT, ...Object.fromEntries(said) };
}

const secondOrder = z.strictObject({
  ...dataset,
  type: z.enum(["RealESRGANDataset", "RealESRGANDataset_LSDIR"]).default("RealESRGANDataset"),
  /** The folder above the folder of the low-quality images; used where the command line has no `--out`. */
  dataroot_lq: optionalPath,
  gt_size: count.optional(),
  ...secondOrderKeys,
});

const unused = z.unknown().optional();

const secondOrderFile = z.strictObject({
  ...run,
  scale: count.default(4),
  ...secondOrderRootKeys,
  datasets: z.strictObject({ train: secondOrder.prefault({}), val: unused }).prefault({}),
  l1_gt_usm: unused,
  percep_gt_usm: unused,
  gan_gt_usm: unused,
  gt_size: unused,
  network_g: unused,
  network_d: unused,
  path: unused,
  train: unused,
  val: unused,
  logger: unused,
  dist_params: unused,
});

/** The schema of the second-order pipeline. */
export const secondOrderRun = secondOrderFile.transform((config) => ({ ...config, ...secondOrderRoot(config) }));

/** A semantic-driven run with every default filled in. */
export type SemanticRunConfig = z.output<typeof semanticRun>;
/** A second-order run with every default filled in. */
export type SecondOrderRunConfig = z.output<typeof secondOrderRun>;
