/** The configuration of `deplsr degrade`: the data set part of the reference's `options/train_srclip.yml` (spec/degradation.md, 6). */
import { z } from "zod";
import { count, optionalPath, probability, range } from "./fields.ts";

const kernelType = z.enum(["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso"]);

const synthesis = z.strictObject({
  name: z.string().default("data"),
  type: z.literal("SRClipDataset").default("SRClipDataset"),
  dataroot_gt: optionalPath,
  meta_info: optionalPath,
  io_backend: z.strictObject({ type: z.literal("disk") }).default({ type: "disk" }),
  blur_kernel_size: count.default(21),
  kernel_list: z.array(kernelType).min(1).default(["iso", "aniso"]),
  kernel_prob: z.array(probability).min(1).default([0.5, 0.5]),
  sinc_prob: probability.default(0),
  /** Lower end, upper end (not reached), step. */
  blur_sigma: z.tuple([z.number().nonnegative(), z.number().nonnegative(), z.number().positive()]).default([0, 3, 0.1]),
  betag_range: range.default([0.5, 4]),
  betap_range: range.default([1, 2]),
  blur_kernel_size2: count.default(21),
  kernel_list2: z.array(kernelType).min(1).default(["iso", "aniso"]),
  kernel_prob2: z.array(probability).min(1).default([0.5, 0.5]),
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
  lq_size: count.default(224),
  use_hflip: z.boolean().default(false),
  use_rot: z.boolean().default(false),
  num_worker_per_gpu: count.default(1),
  batch_size_per_gpu: count.default(12),
  dataset_enlarge_ratio: count.default(1),
  prefetch_mode: z.string().nullable().default(null),
});

/** The schema of a synthesis run. */
export const degradeRun = z.strictObject({
  name: z.string().default("degrade"),
  model_type: z.string().default("RealESRGANModel"),
  scale: count.default(1),
  num_gpu: z.union([z.literal("auto"), count]).default("auto"),
  manual_seed: z.number().int().nonnegative().default(0),
  datasets: z.strictObject({ train: synthesis.prefault({}), val: synthesis.optional() }).prefault({}),
});

/** A synthesis run with every default filled in. */
export type DegradeRunConfig = z.output<typeof degradeRun>;
/** How images are degraded, the part of the file that `deplsr degrade` uses. */
export type SynthesisConfig = z.output<typeof synthesis>;
