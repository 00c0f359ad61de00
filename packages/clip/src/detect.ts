import { assume, axisLength, checkShapes, type StateShapes } from "@deplsr/nn";
import type { Shape } from "@deplsr/tensor";
import { type CLIPConfig, clipConfig, SIGLIP_START, type TextConfig, type VisionConfig } from "./config.ts";
import { clipName } from "./keys.ts";
import { clipShapes } from "./state.ts";

/** Channels of a head where open_clip's image towers do not have 64, by their width: ViT-H, -g, -bigG, -e. */
const HEAD_WIDTHS: ReadonlyMap<number, number> = new Map([
  [1280, 80],
  [1408, 88],
  [1664, 104],
  [1792, 112],
]);

/** What decides a CLIP's numbers and does not show in the shapes of its tensors, by the names of its configuration. */
export type CLIPAssumptions = {
  readonly quickGelu: boolean;
  readonly "vision.headWidth": number;
  readonly "text.heads": number;
};

/** How a CLIP is detected. */
export interface DetectCLIPOptions {
  /** Values in the place of those that are taken for what shapes do not tell. */
  readonly assume?: Partial<CLIPAssumptions>;
}

/** Scalars that OpenAI's files hold beside the tensors. */
const OPENAI_MARKS = ["input_resolution", "context_length", "vocab_size"];

/**
 * The configuration of a CLIP from the names and shapes of its tensors, under open_clip's names with or without the prefixes
 * `module.` and `text.`; null when they are not those of a CLIP with a vision transformer.
 *
 * Shapes do not tell everything. Heads have 64 channels, but more in image towers as wide as those of ViT-H and larger;
 * of a width that 64 does not divide they have the greatest common divisor, which is a guess. OpenAI's files, which
 * `input_resolution`, `context_length` and `vocab_size` give away, mean the quick GELU, all others the exact one. The start values
 * of the logits and of layer scales, which loaded weights replace, are the usual ones.
 *
 * @throws Error with one line that names what differs, when the names are a CLIP's but do not fit together, or what of
 *   `options.assume` is unknown, of another kind, or contradicts the shapes
 */
export function detectCLIP(shapes: StateShapes, { assume: given = {} }: DetectCLIPOptions = {}): CLIPConfig | null {
  const found = new Map<string, Shape>();
  for (const [original, shape] of shapes) {
    const name = clipName(original);
    if (name !== null) found.set(name, shape);
  }
  if (!found.has("visual.class_embedding") || !found.has("token_embedding.weight")) return null;
  const size = (name: string, axis: number): number => axisLength("CLIP", found, name, axis);
  const tower = (prefix: string, width: number): TowerSizes => {
    const at = `${prefix}transformer.resblocks.`;
    const hidden = size(`${at}0.mlp.c_fc.weight`, 0);
    const blocks = [...found.keys()]
      .filter((name) => name.startsWith(at))
      .map((name) => name.slice(at.length).split(".")[0]);
    return {
      width,
      layers: new Set(blocks).size,
      mlpRatio: Math.trunc(width * (hidden / width)) === hidden ? hidden / width : (hidden + 0.5) / width,
      layerScale: found.has(`${at}0.ls_1.gamma`) ? 1 : null,
    };
  };
  const vision = tower("visual.", size("visual.class_embedding", 0));
  const text = tower("", size("token_embedding.weight", 1));
  const patchSize = size("visual.conv1.weight", 2);
  const grid = Math.sqrt(size("visual.positional_embedding", 0) - 1);
  const names = new Set([...shapes.keys()].map((name) => name.replace(/^module\./, "")));
  const detected = clipConfig({
    embedDim: size("visual.proj", 1),
    quickGelu: OPENAI_MARKS.every((name) => names.has(name)),
    ...(found.has("logit_bias") ? SIGLIP_START : {}),
    vision: { ...vision, patchSize, imageSize: patchSize * Math.round(grid), headWidth: headWidth(vision.width) },
    text: {
      ...text,
      contextLength: size("positional_embedding", 0),
      vocabSize: size("token_embedding.weight", 0),
      heads: text.width / greatestDivisor(text.width, 64),
    },
  });
  const told = assume("CLIP", clipAssumptions(detected), given);
  const config = clipConfig({
    ...detected,
    quickGelu: told.quickGelu,
    vision: { ...detected.vision, headWidth: told["vision.headWidth"] },
    text: { ...detected.text, heads: told["text.heads"] },
  });
  const expected = Array.from(clipShapes(config), ([name, shape]) => ({ name, shape }));
  checkShapes("CLIP", found, expected);
  return config;
}

/** What of a configuration the shapes of tensors do not tell. */
export function clipAssumptions({ quickGelu, vision, text }: CLIPConfig): CLIPAssumptions {
  return { quickGelu, "vision.headWidth": vision.headWidth, "text.heads": text.heads };
}

/** What both towers have. */
type TowerSizes = Pick<VisionConfig & TextConfig, "width" | "layers" | "mlpRatio" | "layerScale">;

function headWidth(width: number): number {
  return HEAD_WIDTHS.get(width) ?? greatestDivisor(width, 64);
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}
