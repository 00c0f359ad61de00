import { assume, axisLength, checkShapes, type StateShapes } from "@deplsr/nn";
import { checkConfig, DAT_X2, type DATConfig } from "./config.ts";
import { datState } from "./state.ts";

/** What decides a DAT's numbers and does not show in the shapes of its tensors. */
export type DATAssumptions = Pick<DATConfig, "splitSize" | "imgRange" | "qkScale" | "layerNormEps" | "globalResidual">;

/** How a network is detected. */
export interface DetectOptions {
  /** Whether every tensor has to be there and fit; by default it has. */
  readonly whole?: boolean;
  /** Values in the place of those that are taken for what shapes do not tell. */
  readonly assume?: Partial<DATAssumptions>;
}

/** What only a DAT has: the tokens' first normalisation, and blocks whose branches interact. */
const SIGNATURE = ["conv_first.weight", "before_RG.1.weight", "layers.0.blocks.0.attn.spatial_interaction.0.weight"];

/** Everything of a DAT stands under one of these. */
const PARTS = /^(conv_first|before_RG|layers|norm|conv_after_body|conv_before_upsample|upsample|conv_last)\./;

/**
 * The configuration of the DAT that a state dict belongs to, from names and shapes alone; null for another network.
 *
 * What shapes do not tell is as in the presets: `imgRange`, `qkScale`, `layerNormEps`, `globalResidual` and the rates of dropout and drop path
 * everywhere; `imgSize` where no shift mask is stored; `numFeatures` where no layer has them. Both orders of `splitSize` have
 * the same shapes: the shorter side is first, and [8, 32] is taken where no position table is stored. An `expansionFactor`
 * that was rounded down to whole features comes back as one that gives as many.
 *
 * @param shapes under the reference's names, without a `module.` in front
 * @param options `whole: false` leaves it to the loader to say what is missing, too much or of another shape; `assume` knows what
 *   shapes do not tell
 * @throws Error with one line that names what differs, when the names are a DAT's but do not fit together, or what of
 *   `options.assume` is unknown, of another kind, or contradicts the shapes
 */
export function detectDAT(
  shapes: StateShapes,
  { whole = true, assume: given = {} }: DetectOptions = {},
): DATConfig | null {
  if (!SIGNATURE.every((name) => shapes.has(name))) return null;
  if (whole && ![...shapes.keys()].every((name) => PARTS.test(name))) return null;
  const size = (name: string, axis = 0): number => axisLength("DAT", shapes, name, axis);
  const [embedDim, inChannels] = [size("conv_first.weight"), size("conv_first.weight", 1)];
  const stepped = shapes.has("conv_before_upsample.0.weight");
  const numFeatures = stepped ? size("conv_before_upsample.0.weight") : DAT_X2.numFeatures;
  const depth = numbersUnder(shapes, "layers").map((group) => numbersUnder(shapes, `layers.${group}.blocks`).length);
  const detected: DATConfig = {
    ...DAT_X2,
    imgSize: imageSize(shapes),
    inChannels,
    embedDim,
    depth,
    numHeads: depth.map((blocks, group) =>
      blocks > 1
        ? size(`layers.${group}.blocks.1.attn.temperature`)
        : 2 * size(`layers.${group}.blocks.0.attn.attns.0.pos.pos3.2.weight`),
    ),
    splitSize: storedSplitSize(shapes) ?? DAT_X2.splitSize,
    expansionFactor: ratioGiving(size("layers.0.blocks.0.ffn.fc1.weight"), embedDim),
    qkvBias: shapes.has("layers.0.blocks.0.attn.qkv.bias"),
    numFeatures,
    upscale: numbersUnder(shapes, "upsample")
      .map((step) => Math.round(Math.sqrt(size(`upsample.${step}.weight`) / (stepped ? numFeatures : inChannels))))
      .reduce((scale, factor) => scale * factor, 1),
    upsampler: stepped ? "pixelshuffle" : "pixelshuffledirect",
    resiConnection: shapes.has("conv_after_body.weight") ? "1conv" : "3conv",
  };
  const config = checkConfig({ ...detected, ...assume("DAT", datAssumptions(detected), given) });
  checkSplitSize(shapes, config);
  if (whole) checkShapes("DAT", shapes, datState(config));
  return config;
}

/** What of a configuration the shapes of tensors do not tell. */
export function datAssumptions({
  splitSize,
  imgRange,
  qkScale,
  layerNormEps,
  globalResidual,
}: DATConfig): DATAssumptions {
  return { splitSize, imgRange, qkScale, layerNormEps, globalResidual };
}

/** Checks that windows have the size that is stored, in either order. @throws Error with one line */
export function checkSplitSize(shapes: StateShapes, { splitSize }: Pick<DATConfig, "splitSize">): void {
  const stored = storedSplitSize(shapes);
  const [a, b] = splitSize;
  if (!stored || `${stored}` === `${[Math.min(a, b), Math.max(a, b)]}`) return;
  throw new Error(
    `DAT: splitSize: [${splitSize.join(", ")}] contradicts the tensors, which are for [${stored.join(", ")}]`,
  );
}

/** A factor by which `of` channels become `width` once it is rounded down: their ratio, where floating point allows. */
export function ratioGiving(width: number, of: number): number {
  const ratio = width / of;
  return Math.trunc(of * ratio) === width ? ratio : (width + 0.5) / of;
}

/** The numbers that stand behind a prefix, in order: of `layers.0.…` and `layers.1.…` they are [0, 1]. */
function numbersUnder(shapes: StateShapes, prefix: string): number[] {
  const numbers = new Set<number>();
  for (const name of shapes.keys()) {
    const number = name.startsWith(`${prefix}.`) ? /^\d+/.exec(name.slice(prefix.length + 1)) : null;
    if (number) numbers.add(Number(number[0]));
  }
  return [...numbers].sort((a, b) => a - b);
}

/** From the tables of window offsets, (2hs - 1)·(2ws - 1) rows, and of pairs of a window's tokens, hs·ws rows: the shorter side first. */
function storedSplitSize(shapes: StateShapes): readonly [number, number] | null {
  const [offsets] = shapes.get("layers.0.blocks.0.attn.attns.0.rpe_biases") ?? [];
  const [tokens] = shapes.get("layers.0.blocks.0.attn.attns.0.relative_position_index") ?? [];
  if (offsets === undefined || tokens === undefined) return null;
  const half = (4 * tokens + 1 - offsets) / 4; // (hs + ws)/2
  const apart = Math.sqrt(Math.max(0, half * half - tokens)); // (ws - hs)/2
  return [Math.round(half - apart), Math.round(half + apart)];
}

/** From the first shift mask, (windows, n, n) of a square image. */
function imageSize(shapes: StateShapes): number {
  for (const [name, [windows = 0, tokens = 0]] of shapes) {
    if (name.endsWith(".attn_mask_0")) return Math.round(Math.sqrt(windows * tokens));
  }
  return DAT_X2.imgSize;
}
