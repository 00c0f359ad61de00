import type { Shape } from "@deplsr/tensor";
import type { CLIPConfig, TextConfig, VisionConfig } from "./config.ts";

/** Name and shape of every tensor of a model's checkpoint under open_clip's names and in its order, without making the model. */
export function clipShapes({ embedDim, logitBiasStart, vision, text }: CLIPConfig): Map<string, Shape> {
  const { width, patchSize } = vision;
  const patches = (vision.imageSize / patchSize) ** 2;
  return new Map<string, Shape>([
    ["positional_embedding", [text.contextLength, text.width]],
    ["text_projection", [text.width, embedDim]],
    ["logit_scale", []],
    ...(logitBiasStart === null ? [] : [["logit_bias", []] as const]),
    ["visual.class_embedding", [width]],
    ["visual.positional_embedding", [patches + 1, width]],
    ["visual.proj", [width, embedDim]],
    ["visual.conv1.weight", [width, 3, patchSize, patchSize]],
    ...affine("visual.ln_pre", [width]),
    ...blocks("visual.", vision),
    ...affine("visual.ln_post", [width]),
    ...blocks("", text),
    ["token_embedding.weight", [text.tokens?.length ?? text.vocabSize, text.width]],
    ...affine("ln_final", [text.width]),
  ]);
}

type Entry = readonly [name: string, shape: Shape];

/** A weight and its bias of the first axis' length. */
function affine(prefix: string, shape: Shape): Entry[] {
  return [
    [`${prefix}.weight`, shape],
    [`${prefix}.bias`, shape.slice(0, 1)],
  ];
}

/** The blocks of one tower. */
function blocks(tower: string, { width: c, layers, mlpRatio, layerScale }: VisionConfig | TextConfig): Entry[] {
  const hidden = Math.trunc(c * mlpRatio);
  const scale = (name: string): Entry[] => (layerScale === null ? [] : [[name, [c]]]);
  return Array.from({ length: layers }, (_, block) => `${tower}transformer.resblocks.${block}`).flatMap((at) => [
    ...affine(`${at}.ln_1`, [c]),
    [`${at}.attn.in_proj_weight`, [3 * c, c]],
    [`${at}.attn.in_proj_bias`, [3 * c]],
    ...affine(`${at}.attn.out_proj`, [c, c]),
    ...scale(`${at}.ls_1.gamma`),
    ...affine(`${at}.ln_2`, [c]),
    ...affine(`${at}.mlp.c_fc`, [hidden, c]),
    ...affine(`${at}.mlp.c_proj`, [c, hidden]),
    ...scale(`${at}.ls_2.gamma`),
  ]);
}

/** Number of parameters in each tower and in all, from the sizes alone. The total has `logit_scale` (and `logit_bias`). */
export interface CLIPParameterCounts {
  readonly vision: number;
  readonly text: number;
  readonly total: number;
}

/** Counts the parameters of a model without making it. */
export function countCLIPParameters(config: CLIPConfig): CLIPParameterCounts {
  const counts = { vision: 0, text: 0, total: 0 };
  for (const [name, shape] of clipShapes(config)) {
    const size = shape.reduce((product, length) => product * length, 1);
    counts.total += size;
    if (name.startsWith("visual.")) counts.vision += size;
    else if (!name.startsWith("logit_")) counts.text += size;
  }
  return counts;
}
