import { clipShapes } from "@deplsr/clip";
import type { Shape } from "@deplsr/tensor";
import type { SrCLIPDescription, SrCLIPV2Config } from "./srclip-config.ts";

/** Name and shape of every tensor of a model's checkpoint, in its order and without making the model. */
export function srclipShapes({ model, config }: SrCLIPDescription): Map<string, Shape> {
  const { embedDim } = config.clip;
  if (model === "FinetuneCLIP") {
    return new Map([
      ...clipShapes(config.clip),
      ...linear("fine_linear", embedDim, 6 * embedDim),
      ...linear("fine1_linear", 6 * embedDim, 3 * embedDim),
      ...linear("fine2_linear", 3 * embedDim, 6 * embedDim),
      ...linear("fine3_linear", 6 * embedDim, embedDim),
      ...linear("out_linear", embedDim, config.fineDegradations * embedDim),
    ]);
  }
  const clip = [...clipShapes({ ...config.clip, logitBiasStart: null })];
  const { width, layers } = config.clip.vision;
  const taps = Array.from({ length: layers }, (_, block) =>
    linear(`visual_control.transformer.zero_modules.${block}`, width, width),
  );
  const tower = clip
    .filter(([name]) => name.startsWith("visual."))
    .map(([name, shape]): Entry => [name.replace("visual.", "visual_control."), shape]);
  const adaptor = tower.map(
    ([name, shape]): Entry => [name.replace(".transformer.", ".transformer.transformer."), shape],
  );
  const scalars = config.loss === "siglip" ? ["logit_scale", "logit_bias"] : ["logit_scale"];
  return new Map([
    ...scalars.map((name): Entry => [name, []]),
    ...clip.map(([name, shape]): Entry => [`clip.${name}`, shape]),
    ...adaptor.slice(0, -2),
    ...taps.flat(),
    ...adaptor.slice(-2), // the last normalisation
    ...(model === "SrCLIPV2" ? linear("out_linear", embedDim, config.fineDegradations * embedDim) : []),
  ]);
}

type Entry = readonly [name: string, shape: Shape];

function linear(prefix: string, from: number, to: number): Entry[] {
  return [
    [`${prefix}.weight`, [to, from]],
    [`${prefix}.bias`, [to]],
  ];
}

/** Numbers of parameters of an SRCLIP, a shared tensor counted once. */
export interface SrCLIPParameterCounts {
  /** The adaptor, its taps included. */
  readonly visualControl: number;
  readonly taps: number;
  /** Both for a model without the head for single degradations (V1) and for one with it. */
  readonly v1: number;
  readonly v2: number;
  /** What is trained in V2 once the CLIP is locked. */
  readonly v2Trainable: number;
}

/** Counts the parameters of a model without making it. */
export function countSrCLIPParameters(config: SrCLIPV2Config): SrCLIPParameterCounts {
  const shapes = srclipShapes({ model: "SrCLIPV2", config });
  const v2 = count(shapes);
  return {
    visualControl: count(shapes, /^visual_control\./),
    taps: count(shapes, /\.zero_modules\./),
    v1: v2 - count(shapes, /^out_linear\./),
    v2,
    v2Trainable: v2 - count(shapes, /^clip\./),
  };
}

/** Counts the parameters of a `FinetuneCLIP` without making it. */
export function countFinetuneCLIPParameters(config: SrCLIPV2Config): number {
  return count(srclipShapes({ model: "FinetuneCLIP", config }));
}

function count(shapes: ReadonlyMap<string, Shape>, names: RegExp = /^/): number {
  let total = 0;
  for (const [name, shape] of shapes) if (names.test(name)) total += shape.reduce((size, length) => size * length, 1);
  return total;
}
