import { axisLength, checkShapes, type StateShapes } from "@deplsr/nn";
import { checkConfig, DAT_X2, type DATConfig } from "./config.ts";
import { datState } from "./state.ts";

/** How much a state dict has to be of a network. */
export interface DetectOptions {
  /** Whether every tensor has to be there and fit; by default it has. */
  readonly whole?: boolean;
}

/** What only a DAT has: the tokens' first normalisation, and blocks whose branches interact. */
const SIGNATURE = ["conv_first.weight", "before_RG.1.weight", "layers.0.blocks.0.attn.spatial_interaction.0.weight"];

/** Everything of a DAT stands under one of these. */
const PARTS = /^(conv_first|before_RG|layers|norm|conv_after_body|conv_before_upsample|upsample|conv_last)\./;

/**
 * The configuration of the DAT that a state dict belongs to, from names and shapes alone; null for another network.
 *
 * What shapes do not tell is as in the presets: `imgRange`, `qkScale`, `layerNormEps` and the rates of dropout and drop path
 * everywhere; `imgSize` where no shift mask is stored; `numFeatures` where no layer has them. Both orders of `splitSize` have
 * the same shapes: the shorter side is first, and [8, 32] is taken where no position table is stored. An `expansionFactor`
 * that was rounded down to whole features comes back as one that gives as many.
 *
 * @param shapes under the reference's names, without a `module.` in front
 * @param options `whole: false` leaves it to the loader to say what is missing, too much or of another shape
 * @throws Error with one line that names what differs, when the names are a DAT's but do not fit together
 */
export function detectDAT(shapes: StateShapes, { whole = true }: DetectOptions = {}): DATConfig | null {
  if (!SIGNATURE.every((name) => shapes.has(name))) return null;
  if (whole && ![...shapes.keys()].every((name) => PARTS.test(name))) return null;
  const size = (name: string, axis = 0): number => axisLength("DAT", shapes, name, axis);
  const [embedDim, inChannels] = [size("conv_first.weight"), size("conv_first.weight", 1)];
  const stepped = shapes.has("conv_before_upsample.0.weight");
  const numFeatures = stepped ? size("conv_before_upsample.0.weight") : DAT_X2.numFeatures;
  const depth = numbersUnder(shapes, "layers").map((group) => numbersUnder(shapes, `layers.${group}.blocks`).length);
  const config = checkConfig({
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
    splitSize: splitSize(shapes),
    expansionFactor: ratioGiving(size("layers.0.blocks.0.ffn.fc1.weight"), embedDim),
    qkvBias: shapes.has("layers.0.blocks.0.attn.qkv.bias"),
    numFeatures,
    upscale: numbersUnder(shapes, "upsample")
      .map((step) => Math.round(Math.sqrt(size(`upsample.${step}.weight`) / (stepped ? numFeatures : inChannels))))
      .reduce((scale, factor) => scale * factor, 1),
    upsampler: stepped ? "pixelshuffle" : "pixelshuffledirect",
    resiConnection: shapes.has("conv_after_body.weight") ? "1conv" : "3conv",
  });
  if (whole) checkShapes("DAT", shapes, datState(config));
  return config;
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

/** From the tables of window offsets, (2hs - 1)·(2ws - 1) rows, and of pairs of a window's tokens, hs·ws rows. */
function splitSize(shapes: StateShapes): readonly [number, number] {
  const [offsets] = shapes.get("layers.0.blocks.0.attn.attns.0.rpe_biases") ?? [];
  const [tokens] = shapes.get("layers.0.blocks.0.attn.attns.0.relative_position_index") ?? [];
  if (offsets === undefined || tokens === undefined) return DAT_X2.splitSize;
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
