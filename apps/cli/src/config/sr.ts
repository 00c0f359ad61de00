/**
 * The configuration of `deplsr train sr`: the fields of the reference's `options/Train/*.yml` (spec/training.md, 3), all of them accepted,
 * so that its files load unchanged. Keys that only concern the reference's machinery (worker processes, TensorBoard, NCCL) are read and unused.
 * Ours are `network_clip.clip_input` and `network_clip.clip_fit`.
 */
import { z } from "zod";
import { count, countOrZero, optionalPath, probability } from "./fields.ts";

const ioBackend = z.strictObject({ type: z.literal("disk") }).default({ type: "disk" });

const dataset = z.strictObject({
  task: z.string().optional(),
  name: z.string().default("data"),
  /** `PairedImageDataset`: two folders. `PairedImageDataset_LSDIR`: a TSV of originals beside folders HR and RealLQ / RealLQx4. */
  type: z.enum(["PairedImageDataset", "PairedImageDataset_LSDIR"]).default("PairedImageDataset"),
  dataroot_gt: optionalPath,
  dataroot_lq: optionalPath,
  meta_info: optionalPath,
  /** Names the originals, one a line, where not all of `dataroot_gt` are wanted. */
  meta_info_file: optionalPath,
  filename_tmpl: z.string().default("{}"),
  io_backend: ioBackend,
});

const trainingSet = dataset.extend({
  /** Side of the square crops of the originals; the low-quality crops have this over the scale. */
  gt_size: count.default(256),
  use_hflip: z.boolean().default(true),
  use_rot: z.boolean().default(true),
  use_shuffle: z.boolean().default(true),
  /** Images decoded at a time; as many as there are cores where it is left out. */
  num_worker_per_gpu: countOrZero.optional(),
  batch_size_per_gpu: count.default(4),
  dataset_enlarge_ratio: count.default(1),
  prefetch_mode: z.string().nullable().default(null),
});

/** Which residual groups have a fusion block before them: all, none, one by its number, or several (`0-2-4`). */
const fusionLayers = z.union([
  countOrZero,
  z.string().regex(/^(all|none|\d+(-\d+)*)$/, '"all", "none" or numbers of groups such as 0-2-4'),
]);

const network = z.strictObject({
  type: z.enum(["RealDAT", "DAT"]),
  upscale: count,
  in_chans: count.default(3),
  img_size: count.default(64),
  img_range: z.number().default(1),
  split_size: z.tuple([count, count]).default([8, 32]),
  depth: z.array(count).min(1).default([6, 6, 6, 6, 6, 6]),
  embed_dim: count.default(180),
  num_heads: z.array(count).min(1).default([6, 6, 6, 6, 6, 6]),
  expansion_factor: z.number().positive().default(4),
  qkv_bias: z.boolean().default(true),
  qk_scale: z.number().positive().nullable().default(null),
  drop_rate: probability.default(0),
  attn_drop_rate: probability.default(0),
  drop_path_rate: probability.default(0.1),
  num_feat: count.default(64),
  resi_connection: z.enum(["1conv", "3conv"]).default("1conv"),
  upsampler: z.enum(["pixelshuffle", "pixelshuffledirect"]).default("pixelshuffle"),
  fusion_layers: fusionLayers.default("all"),
  fusion_num_heads: count.default(6),
  fusion_mlp_ratio: z.number().positive().default(1),
  fusion_attn_ratio: z.number().positive().default(1),
  fusion_qkv_bias: z.boolean().default(true),
  fusion_drop_rate: probability.default(0),
  fusion_attn_drop_rate: probability.default(0),
});

const metric = z.strictObject({
  type: z.enum(["calculate_psnr", "calculate_ssim"]),
  crop_border: countOrZero.default(0),
  test_y_channel: z.boolean().default(true),
  better: z.enum(["higher", "lower"]).default("higher"),
});

/** The schema of a super-resolution run. */
export const srRun = z.strictObject({
  name: z.string().min(1),
  model_type: z.enum(["RealDATModel", "DATModel", "RealESRGANModel"]).default("RealDATModel"),
  scale: count,
  num_gpu: z.union([z.literal("auto"), countOrZero]).default("auto"),
  manual_seed: countOrZero.default(0),
  datasets: z.strictObject({ train: trainingSet, val: dataset.optional() }),
  network_g: network,
  network_clip: z
    .strictObject({
      type: z.string(),
      /** Whether the image that SRCLIP sees is normalised by CLIP's mean and deviation, or as in the reference raw. */
      clip_input: z.enum(["normalized", "raw"]).default("normalized"),
      /** Whether SRCLIP sees the whole image squashed to its square, as in the original, or the middle at native resolution. */
      clip_fit: z.enum(["squash", "crop"]).default("squash"),
    })
    .optional(),
  path: z
    .strictObject({
      pretrain_network_g: optionalPath,
      param_key_g: z.string().default("params"),
      strict_load_g: z.boolean().default(true),
      srclip_pretrain_network: optionalPath,
      resume_state: optionalPath,
      experiments_root: optionalPath,
      results_root: optionalPath,
    })
    .prefault({}),
  train: z.strictObject({
    ema_decay: z.number().min(0).lt(1).default(0),
    optim_g: z.strictObject({
      type: z.enum(["Adam", "AdamW"]).default("Adam"),
      lr: z.number().positive(),
      weight_decay: z.number().nonnegative().default(0),
      betas: z.tuple([probability, probability]).default([0.9, 0.99]),
    }),
    scheduler: z.discriminatedUnion("type", [
      z.strictObject({
        type: z.enum(["MultiStepLR", "MultiStepRestartLR"]),
        milestones: z.array(count),
        gamma: z.number().positive().default(0.1),
      }),
      z.strictObject({
        type: z.literal("CosineAnnealingRestartLR"),
        periods: z.array(count).min(1),
        restart_weights: z.array(z.number().positive()).optional(),
        eta_min: z.number().nonnegative().default(0),
      }),
    ]),
    total_iter: count,
    warmup_iter: z.number().int().min(-1).default(-1),
    pixel_opt: z
      .strictObject({
        type: z.enum(["L1Loss", "MSELoss", "CharbonnierLoss"]).default("L1Loss"),
        loss_weight: z.number().positive().default(1),
        reduction: z.literal("mean").default("mean"),
      })
      .prefault({}),
    perceptual_opt: z.null().optional(),
  }),
  val: z
    .strictObject({
      val_freq: count.default(5000),
      save_img: z.boolean().default(false),
      suffix: z.string().nullable().default(null),
      use_chop: z.boolean().default(false),
      pbar: z.boolean().default(true),
      metrics: z.record(z.string(), metric).optional(),
    })
    .optional(),
  logger: z
    .strictObject({
      print_freq: count.default(100),
      save_checkpoint_freq: count.default(5000),
      use_tb_logger: z.boolean().default(false),
      wandb: z
        .strictObject({ project: z.string().nullable().default(null), resume_id: z.string().nullable().default(null) })
        .optional(),
    })
    .prefault({}),
  dist_params: z.strictObject({ backend: z.string(), port: count }).optional(),
});

/** A super-resolution run with every default filled in. */
export type SrRunConfig = z.output<typeof srRun>;
