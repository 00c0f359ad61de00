/**
 * The demo's sizes: the real architectures, small enough for a software adapter to train in minutes. Everything is a field of the same
 * configurations that long runs use.
 */
import { SEMANTIC_OPTIONS, type SemanticDraw, type SemanticOptions } from "@deplsr/degradation";
import { checkConfig } from "../config/parse.ts";
import { type SrRunConfig, srRun } from "../config/sr.ts";
import { type SrclipTrainingConfig, srclipRun } from "../config/srclip.ts";

/** Where the parts of a demo stand below its folder. */
export const PLACES = {
  training: "data/training.tsv",
  heldOut: "data/heldout.tsv",
  degraded: "data/degraded",
  gt: "data/pairs/gt",
  lq: "data/pairs/lq",
  srclip: "srclip",
  sr: "sr",
  comparison: "comparison.png",
  report: "report.html",
} as const;

/** Side of the squares that SRCLIP sees, in pixels. */
export const SQUARE = 32;
/** Degraded squares of each photograph that was held out. */
export const SQUARES_PER_HELD_OUT = 96;
/** Pairs of each photograph that super-resolution learns from. */
export const PAIRS_PER_PHOTO = 8;
/** By how much the demo enlarges. */
export const SCALE = 2;
/** Side of an original of a training pair. */
export const PAIR_SIDE = 128;
/** Side of the original of the comparison. */
export const COMPARISON_SIDE = 256;

/** Damage that SRCLIP learns to tell apart: ringing in half of the squares, so that guessing is right half of the time. */
export const SQUARE_DAMAGE: SemanticOptions = {
  ...SEMANTIC_OPTIONS,
  lqSize: SQUARE,
  blurSigma: [0, 3.1, 1],
  finalSincProb: 0.5,
};

/** Damage of the low-quality images of super-resolution: noise and compression that bicubic interpolation passes on. */
export const PAIR_DAMAGE: SemanticOptions = {
  ...SEMANTIC_OPTIONS,
  lqSize: PAIR_SIDE / SCALE,
  blurSigma: [0, 1.05, 0.1],
  noiseRange: [10, 30],
  poissonScaleRange: [1, 3],
  jpegRange: [40, 80],
  finalSincProb: 0.1,
};

/**
 * Rounds the levels of a draw to those that the evaluation asks for, so that a minute of training meets each of them often: noise of 15 or 30,
 * or of scale 1, 2 or 3, and qualities of 30, 50, 70 or 90.
 */
export function roundLevels(draw: SemanticDraw): SemanticDraw {
  const { noise, quality } = draw;
  return {
    ...draw,
    noise:
      noise.type === "gaussian"
        ? { type: "gaussian", sigma: noise.sigma < 15 ? 15 : 30 }
        : { type: "poisson", scale: Math.min(3, 1 + Math.floor(noise.scale)) },
    quality: 30 + 20 * Math.min(3, Math.floor((4 * (quality - 30)) / 65)),
  };
}

/** How SRCLIP is trained. @param data the TSV */
export function srclipRecipe(data: string, steps: number, seed: number): SrclipTrainingConfig {
  const config = checkConfig(
    {
      name: "demo-srclip",
      model: {
        embed_dim: 64,
        vision_cfg: { image_size: SQUARE, patch_size: 8, width: 64, layers: 2, head_width: 32, mlp_ratio: 2 },
        text_cfg: { context_length: 40, width: 32, heads: 2, layers: 1, mlp_ratio: 2 },
      },
      // In colour noise and compression hide in what is shown: random filters find them too late.
      patch_init: "cosine",
      train_data: data,
      image_fit: "crop",
      batch_size: 32,
      steps,
      lr: 3e-3,
      warmup: Math.min(20, Math.ceil(steps / 10)),
      wd: 0.02,
      beta2: 0.98,
      grad_clip_norm: 1,
      // What steers super-resolution is the degradations.
      loss_weight: [0.1, 0.2, 0.7],
      // From random weights the cross-entropy learns in far fewer steps than SigLIP, whose bias of -10 has to come up first.
      siglip: false,
      // Only a handful of levels occur, so most batches hold every text several times.
      multi_positive: true,
      seed,
      save_frequency: 1_000_000,
      log_every_n_steps: 10,
    },
    "the demo's recipe",
    srclipRun,
  );
  return { ...config, train_data: data };
}

/** The name of its training. */
export const DEMO_SR = "demo-sr";

/** How super-resolution is trained. @param folders of the pairs, and of the SRCLIP run */
export function srRecipe(
  folders: { readonly gt: string; readonly lq: string; readonly srclip: string },
  steps: number,
  seed: number,
): SrRunConfig {
  return checkConfig(
    {
      name: DEMO_SR,
      scale: SCALE,
      manual_seed: seed,
      datasets: {
        train: { dataroot_gt: folders.gt, dataroot_lq: folders.lq, gt_size: 2 * 24, batch_size_per_gpu: 4 },
      },
      network_g: {
        type: "RealDAT",
        upscale: SCALE,
        img_size: 24,
        split_size: [4, 8],
        depth: [2],
        embed_dim: 32,
        num_heads: [2],
        expansion_factor: 2,
        // Begins as bicubic interpolation, which has the right colours.
        global_residual: "bicubic",
        upsampler: "pixelshuffledirect",
        fusion_num_heads: 2,
        drop_path_rate: 0,
      },
      network_clip: { type: "srclipv2_demo", clip_input: "normalized", clip_fit: "crop" },
      path: { srclip_pretrain_network: folders.srclip },
      train: {
        optim_g: { type: "Adam", lr: 2e-3 },
        scheduler: {
          type: "MultiStepLR",
          milestones: [Math.ceil(steps * 0.5), Math.ceil(steps * 0.75), Math.ceil(steps * 0.9)],
          gamma: 0.5,
        },
        total_iter: steps,
      },
      logger: { print_freq: 10, save_checkpoint_freq: 1_000_000 },
    },
    "the demo's recipe",
    srRun,
  );
}
