/**
 * The configuration of `deplsr train srclip`. The original takes these as flags (spec/srclip.md, 7); here they are the keys of a YAML file, with the
 * recommended values as defaults.
 */
import { z } from "zod";
import { count, countOrZero, optionalPath, probability } from "./fields.ts";

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
    /** `clean` copies the vision tower by name, `reference` repeats the original's misaligned copy. */
    init: z.enum(["clean", "reference"]).default("clean"),
    train_data: z.string().min(1),
    val_data: optionalPath,
    /** How an image becomes the model's square: `squash` as the original, or a `crop` at native resolution, which keeps the damage visible. */
    image_fit: z.enum(["squash", "crop"]).default("squash"),
    batch_size: count.default(64),
    /** Batches whose images and texts are compared with each other in one step, one batch in memory at a time. */
    accum_freq: count.default(1),
    /** Either epochs or steps. */
    epochs: count.optional(),
    steps: count.optional(),
    lr: z.number().positive().default(2e-5),
    lr_scheduler: z.enum(["cosine", "const"]).default("cosine"),
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
    seed: countOrZero.default(0),
    /** A checkpoint is written after this many steps, and at the end. */
    save_frequency: count.default(500),
    log_every_n_steps: count.default(50),
    /** Decoded images are kept in memory until they take this much. */
    cache_megabytes: countOrZero.default(1024),
  })
  .refine((config) => (config.epochs === undefined) !== (config.steps === undefined), {
    message: "either epochs or steps, one of the two",
    path: ["epochs"],
  });

/** An SRCLIP run with every default filled in. */
export type SrclipRunConfig = z.output<typeof srclipRun>;
