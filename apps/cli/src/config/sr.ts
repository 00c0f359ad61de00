/**
 * The configuration of `deplsr train sr`: the fields of the option files of BasicSR, DAT and DePLSR (spec/training.md, 3), so that these load
 * unchanged, and those by which Real-ESRGAN's say how pairs are made. What has no meaning here stands in `unused.ts`. Ours are
 * `network_g.global_residual`, `datasets.train.mixture`, `light`, `crop_pad_size` and `crop_candidates`, `network_clip.clip_input` and `clip_fit`, `train.fusion_init`,
 * `grad_clip`, `on_nan`, `checkpoint`, `accum_iter` and `sync_bn`, `logger.keep_last` and `keep_every`.
 */
import { z } from "zod";
import { SECOND_ORDER_ROOT, secondOrderRoot, secondOrderRootKeys } from "./degrade.ts";
import { count, countOrZero, optionalPath, probability, seed } from "./fields.ts";
import { type MeasuredSet, measuredSet, trainingSets } from "./sr-data.ts";

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
  /** `bicubic`: the network says what bicubic interpolation lacks. */
  global_residual: z.enum(["none", "bicubic"]).default("none"),
  fusion_layers: fusionLayers.default("all"),
  fusion_num_heads: count.default(6),
  fusion_mlp_ratio: z.number().positive().default(1),
  fusion_attn_ratio: z.number().positive().default(1),
  fusion_qkv_bias: z.boolean().default(true),
  fusion_drop_rate: probability.default(0),
  fusion_attn_drop_rate: probability.default(0),
});

const better = z.enum(["higher", "lower"]);
/** The folder with the weights of a learned metric, under the names they are published with. */
const metricWeights = z.string().min(1).default("weights");
const inputOrder = z.enum(["HWC", "CHW"]).optional();

/** BasicSR's own metrics, and the learned ones by the names of `deplsr iqa`. */
const metric = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.enum(["calculate_psnr", "calculate_ssim"]),
    /** Pixels at each side that do not count. */
    crop_border: countOrZero.default(0),
    /** Whether only luma counts. */
    test_y_channel: z.boolean().default(false),
    input_order: inputOrder,
    better: better.default("higher"),
  }),
  z.strictObject({
    type: z.literal("calculate_niqe"),
    crop_border: countOrZero.default(0),
    input_order: inputOrder,
    convert_to: z.enum(["y", "gray"]).default("y"),
    better: better.default("lower"),
  }),
  z.strictObject({
    type: z.enum(["lpips", "lpips-vgg", "lpips-squeeze", "dists"]),
    weights: metricWeights,
    better: better.default("lower"),
  }),
  z.strictObject({
    type: z.enum(["clipiqa", "cnniqa", "musiq", "maniqa"]),
    weights: metricWeights,
    better: better.default("higher"),
  }),
]);

/** As many weights as there are of another list. */
const weights = z.array(z.number().positive()).optional();

const scheduler = z.discriminatedUnion("type", [
  z
    .strictObject({
      type: z.enum(["MultiStepLR", "MultiStepRestartLR"]),
      /** Steps after which the rate is multiplied by gamma. */
      milestones: z.array(count),
      gamma: z.number().positive().default(0.1),
      /** Steps after which it is the first rate again, times its weight. */
      restarts: z.array(countOrZero).optional(),
      restart_weights: weights,
    })
    .refine(({ restarts = [0], restart_weights = [1] }) => restarts.length === restart_weights.length, {
      message: 'as many as "restarts" has entries',
      path: ["restart_weights"],
    }),
  z
    .strictObject({
      type: z.literal("CosineAnnealingRestartLR"),
      /** Steps of each half cosine. */
      periods: z.array(count).min(1),
      /** One for each period, of 1 where they are left out. */
      restart_weights: weights,
      eta_min: z.number().nonnegative().default(0),
    })
    .refine(({ periods, restart_weights = periods }) => periods.length === restart_weights.length, {
      message: 'as many as "periods" has entries',
      path: ["restart_weights"],
    }),
  z.strictObject({
    type: z.literal("CosineAnnealingLR"),
    /** Steps down to `eta_min`; from there the rate rises again. */
    T_max: count,
    eta_min: z.number().nonnegative().default(0),
  }),
]);

/** A key that would change what is learned, and that this version cannot obey: only `~`. */
const notHere = (reason: string): z.ZodOptional<z.ZodUndefined> => z.undefined({ error: reason }).optional();

const head = {
  name: z.string().min(1),
  /** The network is what `network_g` says; `DATModle` is the original's spelling. */
  model_type: z.enum(["RealDATModel", "DATModel", "DATModle", "SRModel", "RealESRGANModel"]).optional(),
  scale: count,
  num_gpu: z.union([z.literal("auto"), countOrZero]).default("auto"),
  manual_seed: seed,
};

const body = {
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
      /** Which weights of a file or run that has several; where it is left out, or `~`, the averages if there are any. */
      param_key_g: z.string().nullable().default(null),
      strict_load_g: z.boolean().default(true),
      srclip_pretrain_network: optionalPath,
      /** What to go on from: a run's folder, a checkpoint or its state. */
      resume_state: optionalPath,
      ignore_resume_networks: z.union([z.string(), z.array(z.string())]).optional(),
      root: z.string().optional(),
      experiments_root: z.string().optional(),
      results_root: z.string().optional(),
      models: z.string().optional(),
      training_states: z.string().optional(),
      log: z.string().optional(),
      visualization: z.string().optional(),
    })
    .prefault({}),
  find_unused_parameters: z.boolean().optional(),
  dist: z.boolean().optional(),
  dist_params: z.looseObject({}).optional(),
};

const validation = z.strictObject({
  val_freq: count.default(5000),
  /** Whether enlarged images are written. */
  save_img: z.boolean().default(false),
  /** Ends the names of written images instead of the run's name. */
  suffix: z.string().nullable().default(null),
  use_chop: z.boolean().default(false),
  pbar: z.boolean().default(false),
  metrics: z.record(z.string(), metric).optional(),
});

const srKeys = z.strictObject({
  ...head,
  ...secondOrderRootKeys,
  datasets: trainingSets,
  ...body,
  network_d: notHere("~: no discriminator is trained here"),
  train: z.strictObject({
    /** Keeps a moving average of the weights with this decay beside them; 0 keeps none. */
    ema_decay: z.number().min(0).lt(1).default(0),
    optim_g: z.strictObject({
      type: z.enum(["Adam", "AdamW"]).default("Adam"),
      lr: z.number().positive(),
      weight_decay: z.number().nonnegative().default(0),
      betas: z.tuple([probability, probability]).default([0.9, 0.99]),
      eps: z.number().positive().default(1e-8),
      amsgrad: z.literal(false).optional(),
    }),
    scheduler,
    total_iter: count,
    /** The rate rises in a line over this many steps; -1 for none. */
    warmup_iter: z.number().int().min(-1).default(-1),
    pixel_opt: z
      .strictObject({
        type: z.enum(["L1Loss", "MSELoss", "CharbonnierLoss"]).default("L1Loss"),
        loss_weight: z.number().positive().default(1),
        reduction: z.literal("mean").default("mean"),
      })
      .prefault({}),
    perceptual_opt: notHere("~: only pixel losses are known here"),
    gan_opt: notHere("~: only pixel losses are known here"),
    ldl_opt: notHere("~: only pixel losses are known here"),
    optim_d: notHere("~: no discriminator is trained here"),
    /** How the layers from a prompt to where the fusion looks start: as in the reference, or see `startFusionFromFanIn`. */
    fusion_init: z.enum(["reference", "fan_in"]).default("reference"),
    /** Largest norm of all gradients together: longer ones are shortened to it. */
    grad_clip: z.number().positive().optional(),
    /** What a loss or gradient that is no number does: ends the run, or is left out, up to the next step. */
    on_nan: z.enum(["skip", "stop"]).default("stop"),
    /** `blocks` computes the network's blocks again in the backward pass instead of keeping what they made: less memory, more time. */
    checkpoint: z.enum(["none", "blocks"]).default("none"),
    /** Batches that make one step, one in memory at a time. */
    accum_iter: count.default(1),
    /** Batch normalisation sees the batches of all processes as one, instead of each process's alone. */
    sync_bn: z.boolean().default(false),
  }),
  val: validation.optional(),
  logger: z
    .strictObject({
      print_freq: count.default(100),
      save_checkpoint_freq: count.default(5000),
      /** Checkpoints that are kept, the latest; all where it is left out. */
      keep_last: count.optional(),
      /** Checkpoints of every so many steps are kept besides. */
      keep_every: count.optional(),
      /** Whether TensorBoard's files are written. */
      use_tb_logger: z.boolean().default(false),
      wandb: z.looseObject({}).optional(),
    })
    .prefault({}),
});

/** The schema of a super-resolution run. What Real-ESRGAN's files say at their root is said of a `RealESRGANDataset` alone. */
export const srRun = srKeys
  .superRefine((run, context) => {
    if (run.train.fusion_init === "fan_in" && run.network_g.type === "DAT") {
      const message = "fan_in is of no use here: a DAT has no fusion";
      context.addIssue({ code: "custom", path: ["train", "fusion_init"], message });
    }
    if (run.datasets.train.type === "RealESRGANDataset") return;
    for (const key of Object.keys(SECOND_ORDER_ROOT) as (keyof typeof SECOND_ORDER_ROOT)[]) {
      if (run[key] === undefined) continue;
      const message = "nothing here: only a datasets.train of the type RealESRGANDataset makes its pairs";
      context.addIssue({ code: "custom", path: [key], message });
    }
  })
  .transform(
    (run): z.output<typeof srKeys> =>
      run.datasets.train.type === "RealESRGANDataset" ? { ...run, ...secondOrderRoot(run) } : run,
  );

/** A super-resolution run with every default filled in. */
export type SrRunConfig = z.output<typeof srRun>;
/** The data sets that a run is measured on, by their keys. */
export function validationSets({ datasets: { train: _, ...others } }: SrRunConfig): [key: string, set: MeasuredSet][] {
  return Object.entries(others).filter((entry): entry is [string, MeasuredSet] => entry[1] !== undefined);
}

/** The schema of the original's files of tests: a trained network and what it is measured on, `test_1`, `test_2` ... */
export const srTest = z.strictObject({
  ...head,
  datasets: z
    .record(z.string().regex(/^test(_\w+)?$/), z.unknown())
    .pipe(z.object({ test: measuredSet.optional(), test_1: measuredSet.optional() }).catchall(measuredSet)),
  ...body,
  val: validation.omit({ val_freq: true }),
});

/** A test with every default filled in. */
export type SrTestConfig = z.output<typeof srTest>;
