/** How the deep features become a larger image: with 64 features and several steps, or in a single step. */
export type Upsampler = "pixelshuffle" | "pixelshuffledirect";

/** What the network's output is added to: the mean colour of the training images, as published, or the enlarged input. */
export type GlobalResidual = "none" | "bicubic";

/** The convolution at the end of a residual group and of the body: one 3×3, or a bottleneck of three. */
export type ResiConnection = "1conv" | "3conv";

/** Everything that fixes the shape and the arithmetic of a DAT. */
export interface DATConfig {
  /** Side of the square images whose shift masks the reference stores in its checkpoints. Any size can be run. */
  readonly imgSize: number;
  /** Channels of the input and of the output. The RGB mean is subtracted only where this is 3. */
  readonly inChannels: number;
  /** Images are multiplied by this inside the network and divided by it at the end. */
  readonly imgRange: number;
  readonly embedDim: number;
  /** Blocks of each residual group: even ones have spatial attention, odd ones channel attention. */
  readonly depth: readonly number[];
  /** Heads of each residual group; half of them belong to either window branch of the spatial attention. */
  readonly numHeads: readonly number[];
  /** Window height and width of the first branch; the second branch has them exchanged. */
  readonly splitSize: readonly [number, number];
  /** Width of the feed-forward part as a multiple of `embedDim`. */
  readonly expansionFactor: number;
  readonly qkvBias: boolean;
  /** Scale of the window attention's logits; null is 1/√(head size). */
  readonly qkScale: number | null;
  readonly dropRate: number;
  readonly attnDropRate: number;
  /** Stochastic depth: 0 at the first block, rising linearly to this at the last one. */
  readonly dropPathRate: number;
  readonly layerNormEps: number;
  /** Features in front of the last convolution of the `pixelshuffle` upsampler. */
  readonly numFeatures: number;
  readonly upscale: number;
  readonly upsampler: Upsampler;
  readonly resiConnection: ResiConnection;
  /**
   * `bicubic`: the network says what bicubic interpolation (Keys, a = -0.5) lacks, and says nothing at the start; small networks are
   * better than it from the first step on, and keep colours. `none` is the published network.
   * @see https://arxiv.org/abs/1511.04587 section 3.1
   */
  readonly globalResidual: GlobalResidual;
}

/** DAT at x2, the values from which the other presets differ. @see https://arxiv.org/abs/2308.03364 */
export const DAT_X2: DATConfig = {
  imgSize: 64,
  inChannels: 3,
  imgRange: 1,
  embedDim: 180,
  depth: [6, 6, 6, 6, 6, 6],
  numHeads: [6, 6, 6, 6, 6, 6],
  splitSize: [8, 32],
  expansionFactor: 4,
  qkvBias: true,
  qkScale: null,
  dropRate: 0,
  attnDropRate: 0,
  dropPathRate: 0.1,
  layerNormEps: 1e-5,
  numFeatures: 64,
  upscale: 2,
  upsampler: "pixelshuffle",
  resiConnection: "1conv",
  globalResidual: "none",
};
/** DAT at x3. */
export const DAT_X3: DATConfig = { ...DAT_X2, upscale: 3 };
/** DAT at x4. */
export const DAT_X4: DATConfig = { ...DAT_X2, upscale: 4 };

/** DAT-S at x2: smaller windows and a narrower feed-forward part. */
export const DAT_S_X2: DATConfig = { ...DAT_X2, splitSize: [8, 16], expansionFactor: 2 };
/** DAT-S at x3. */
export const DAT_S_X3: DATConfig = { ...DAT_S_X2, upscale: 3 };
/** DAT-S at x4. */
export const DAT_S_X4: DATConfig = { ...DAT_S_X2, upscale: 4 };

/** DAT-2 at x2: a narrower feed-forward part. */
export const DAT_2_X2: DATConfig = { ...DAT_X2, expansionFactor: 2 };
/** DAT-2 at x3. */
export const DAT_2_X3: DATConfig = { ...DAT_2_X2, upscale: 3 };
/** DAT-2 at x4. */
export const DAT_2_X4: DATConfig = { ...DAT_2_X2, upscale: 4 };

/** DAT-light at x2: one group of 18 narrow blocks. */
export const DAT_LIGHT_X2: DATConfig = {
  ...DAT_X2,
  embedDim: 60,
  depth: [18],
  numHeads: [6],
  expansionFactor: 2,
  resiConnection: "3conv",
  upsampler: "pixelshuffledirect",
};
/** DAT-light at x3. */
export const DAT_LIGHT_X3: DATConfig = { ...DAT_LIGHT_X2, upscale: 3 };
/** DAT-light at x4. */
export const DAT_LIGHT_X4: DATConfig = { ...DAT_LIGHT_X2, upscale: 4 };

/** The pixel-shuffle factors of the `pixelshuffle` upsampler: 8 is [2, 2, 2], 3 is [3], 1 is []. */
export function upsampleSteps(scale: number): number[] {
  if (scale === 3) return [3];
  const steps = Math.log2(scale);
  if (!Number.isInteger(steps) || steps < 0) {
    throw new Error(`DAT: upscale ${scale} cannot be made with pixelshuffle: expected 3 or a power of 2`);
  }
  return new Array<number>(steps).fill(2);
}

/** Whether spatial block `block` of residual group `group` shifts its windows (the reference's alternation). */
export function isShifted(group: number, block: number): boolean {
  if (block % 2 !== 0) return false;
  return group % 2 === 0 ? block > 0 && (block - 2) % 4 === 0 : block % 4 === 0;
}

/** Drop-path rate of every block, first to last: `dropPathRate` spread linearly from 0. */
export function dropPathRates(config: DATConfig): number[] {
  const blocks = config.depth.reduce((sum, depth) => sum + depth, 0);
  return Array.from({ length: blocks }, (_, k) => (blocks === 1 ? 0 : (config.dropPathRate * k) / (blocks - 1)));
}

/** Width of the position-bias MLP. At 1 and below its LayerNorms see single values, so that the bias is constant. */
export function positionWidth(embedDim: number): number {
  return Math.floor(Math.floor(embedDim / 2 / 4) / 4);
}

/** Hidden width of the feed-forward part; its two halves gate each other. */
export function hiddenWidth(config: DATConfig): number {
  return Math.trunc(config.embedDim * config.expansionFactor);
}

const WHOLE = (n: number): boolean => Number.isInteger(n) && n > 0;

/**
 * Checks a configuration and returns it.
 * @throws Error with one line that names the field, when the sizes do not divide or a value is out of range
 */
export function checkConfig(config: DATConfig): DATConfig {
  const fail = (field: string, problem: string): never => {
    throw new Error(`DAT: ${field}: ${problem}`);
  };
  for (const field of ["imgSize", "inChannels", "embedDim", "numFeatures", "upscale"] as const) {
    if (!WHOLE(config[field])) fail(field, `${config[field]} is not a positive whole number`);
  }
  const { depth, numHeads, embedDim, splitSize } = config;
  if (depth.length === 0 || !depth.every(WHOLE))
    fail("depth", `[${depth.join(", ")}] must hold positive whole numbers`);
  if (numHeads.length !== depth.length) {
    fail("numHeads", `${numHeads.length} values for ${depth.length} groups of depth [${depth.join(", ")}]`);
  }
  for (const heads of numHeads) {
    if (!WHOLE(heads) || heads % 2 !== 0) fail("numHeads", `${heads} must be even: half of the heads for each branch`);
    if (embedDim % heads !== 0) fail("embedDim", `${embedDim} does not divide into ${heads} heads`);
  }
  if (splitSize.length !== 2 || !splitSize.every(WHOLE)) {
    fail("splitSize", `[${splitSize.join(", ")}] must be two positive whole numbers`);
  }
  if (embedDim < 16) fail("embedDim", `${embedDim} is below 16, the reduction of the spatial interaction`);
  const hidden = hiddenWidth(config);
  if (!WHOLE(hidden) || hidden % 2 !== 0) {
    fail(
      "expansionFactor",
      `${config.expansionFactor} x ${embedDim} gives ${hidden} features, which have no two halves`,
    );
  }
  if (config.resiConnection === "3conv" && embedDim < 4) fail("embedDim", `${embedDim} is too narrow for 3conv`);
  if (config.upsampler === "pixelshuffle") upsampleSteps(config.upscale);
  for (const field of ["dropRate", "attnDropRate", "dropPathRate"] as const) {
    if (!(config[field] >= 0 && config[field] < 1)) fail(field, `${config[field]} is not in [0, 1)`);
  }
  const { globalResidual } = config;
  if (globalResidual !== "none" && globalResidual !== "bicubic") {
    fail("globalResidual", `${JSON.stringify(globalResidual)} is neither none nor bicubic`);
  }
  if (!(config.layerNormEps > 0)) fail("layerNormEps", `${config.layerNormEps} is not above 0`);
  if (config.imgRange === 0 || !Number.isFinite(config.imgRange)) fail("imgRange", `${config.imgRange} cannot divide`);
  return config;
}
