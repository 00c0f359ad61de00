/**
 * The configuration of `deplsr train srclip`. The original takes these as flags (spec/srclip.md, 7); here they are the keys of a YAML file, with the
 * recommended values as defaults.
 */
import { z } from "zod";
import { ORIGINAL_STYLE } from "../evaluate/protocol.ts";
import { count, countOrZero, optionalPath, probability, seed } from "./fields.ts";

/** The sizes of a CLIP that is none of the presets, in open_clip's form. */
const clipSizes = z.strictObject({
  embed_dim: count,
  quick_gelu: z.boolean().default(false),
  vision_cfg: z.strictObject({
    image_size: count,
    patch_size: count,
    width: count,
    layers: count,
    head_width: count.default(64),
    mlp_ratio: z.number().positive().default(4),
  }),
  text_cfg: z.strictObject({
    context_length: count.default(77),
    vocab_size: count.default(49408),
    width: count,
    heads: count,
    layers: count,
    mlp_ratio: z.number().positive().default(4),
  }),
});

/** The schema of an SRCLIP run. */
export const srclipRun = z
  .strictObject({
    name: z.string().min(1),
    /** A preset of open_clip (`ViT-B-32`, `ViT-B-16`, `ViT-L-14`, `ViT-H-14`) or sizes. */
    model: z.union([z.string().min(1), clipSizes]),
    /** CLIP weights to start from (safetensors); without them everything is random and everything trains. */
    pretrained: optionalPath,
    /** How the filters of patches start where no weights are given: `random` as in CLIP, or `cosine`, see `startFromCosines`. */
    patch_init: z.enum(["random", "cosine"]).default("random"),
    /** `clean` copies the vision tower by name, `reference` repeats the original's misaligned copy. */
    init: z.enum(["clean", "reference"]).default("clean"),
    /** Checkpoints hold the frozen CLIP as well, in place of its file's name and hash. */
    self_contained: z.boolean().default(false),
    /** Without it nothing is trained, and `val_data` is measured once. */
    train_data: optionalPath,
    val_data: optionalPath,
    /** What surrounds a prompt of the validation, `{prompt}`. */
    val_template: z
      .string()
      .default(ORIGINAL_STYLE.template)
      .refine((template) => template.includes("{prompt}"), { message: "text with {prompt} in it" }),
    /** How its prompts write levels: `original`, `15` and `1.0`, or as the texts of the training, `15.0`. */
    val_levels: z.enum(["original", "training"]).default(ORIGINAL_STYLE.levels),
    /** What `train_data` is; `auto` and `SRClipPairDatasetV2`: a TSV of images and texts. */
    dataset_type: z
      .enum(["auto", "SRClipPairDatasetV2", "SRClipPairDataset", "SRClipDataset", "csv", "webdataset", "synthetic"])
      .default("auto"),
    /** How an image becomes the model's square: `squash` as the original, or a `crop` at native resolution, which keeps the damage visible. */
    image_fit: z.enum(["squash", "crop"]).default("squash"),
    /** Side of the model's square instead of the preset's. */
    force_image_size: count.optional(),
    /** GELU as x · sigmoid(1.702 x), as the first CLIPs had it. */
    force_quick_gelu: z.boolean().default(false),
    batch_size: count.default(64),
    /** Batches whose images and texts are compared with each other in one step, one batch in memory at a time. */
    accum_freq: count.default(1),
    /** Either epochs or steps. */
    epochs: count.optional(),
    steps: count.optional(),
    lr: z.number().positive().default(2e-5),
    lr_scheduler: z.enum(["cosine", "const", "const-cooldown"]).default("cosine"),
    /** Of `const-cooldown`: the epochs in which the rate falls, along which power, to which rate. */
    epochs_cooldown: count.optional(),
    lr_cooldown_power: z.number().positive().default(1),
    lr_cooldown_end: z.number().nonnegative().default(0),
    warmup: countOrZero.default(100),
    wd: z.number().nonnegative().default(0.05),
    beta1: probability.default(0.9),
    beta2: probability.default(0.98),
    eps: z.number().positive().default(1e-6),
    grad_clip_norm: z.number().positive().nullable().default(null),
    siglip: z.boolean().default(true),
    /** Weights of the content, the whole-degradation and the fine-degradation loss. */
    loss_weight: z.tuple([z.number(), z.number(), z.number()]).default([0.2, 0.3, 0.5]),
    /** Treats equal texts of a batch as positives of each other; the original treats them as negatives. */
    multi_positive: z.boolean().default(false),
    seed,
    /** A checkpoint is written after this many steps, and at the end. */
    save_frequency: count.default(500),
    log_every_n_steps: count.default(50),
    /** Validated after this many steps. */
    val_frequency: count.optional(),
    /** Checkpoints that are kept, the latest; all where it is left out. */
    keep_last: count.optional(),
    /** Checkpoints of every so many steps are kept besides. */
    keep_every: count.optional(),
    /** A checkpoint is written after every epoch as well, and stays until the next one is there. */
    save_most_recent: z.boolean().default(false),
    /** The latest checkpoint alone is kept, unless `keep_last` says otherwise. */
    delete_previous_checkpoint: z.boolean().default(false),
    /** Whether TensorBoard's files are written. */
    use_tb_logger: z.boolean().default(false),
    /** What a loss or gradient that is no number does: ends the run, or is left out, up to the next step. */
    on_nan: z.enum(["skip", "stop"]).default("stop"),
    /** Computes the blocks again in the backward pass instead of keeping what they made: less memory, more time. */
    grad_checkpointing: z.boolean().default(false),
    precision: z.enum(["fp32", "amp", "amp_bf16", "amp_bfloat16", "bf16", "fp16", "pure_bf16", "pure_fp16"]).optional(),
    /** Images decoded at a time; as many as there are cores where it is left out. */
    workers: countOrZero.optional(),
    /** The folder of runs, in which the run's is NAME. */
    logs: optionalPath,
    /** The original's CSV whose title holds caption and degradation. */
    da: z.boolean().default(false),
    crop: z.boolean().default(false),
    /** Decoded images are kept in memory until they take this much. */
    cache_megabytes: countOrZero.default(1024),
  })
  .refine(({ train_data, val_data }) => train_data !== null || val_data !== null, {
    message: "text (or val_data alone, to evaluate only)",
    path: ["train_data"],
  })
  .refine(({ pretrained, patch_init }) => pretrained === null || patch_init === "random", {
    message: "random, as there are pretrained weights",
    path: ["patch_init"],
  })
  .refine(({ train_data, epochs, steps }) => train_data === null || (epochs === undefined) !== (steps === undefined), {
    message: "either epochs or steps, one of the two",
    path: ["epochs"],
  })
  .refine(({ lr_scheduler, epochs_cooldown }) => lr_scheduler !== "const-cooldown" || epochs_cooldown !== undefined, {
    message: "the epochs in which the rate of const-cooldown falls",
    path: ["epochs_cooldown"],
  });

/** An SRCLIP run with every default filled in. */
export type SrclipRunConfig = z.output<typeof srclipRun>;

/** One that trains, rather than evaluates only. */
export type SrclipTrainingConfig = SrclipRunConfig & { readonly train_data: string };
