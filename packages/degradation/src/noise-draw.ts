/** Noise as it is drawn for images: its parameters, and its random fields from a seed of each image. */
import { cat, narrow, poisson, type Rng, randn, type Tensor } from "@deplsr/tensor";
import type { DegradationLevels } from "./caption.ts";
import { type OptionChecks, type Range, uniform } from "./chance.ts";
import { inGroups } from "./groups.ts";
import { addGaussianNoise, addPoissonNoise, type NoiseOptions } from "./noise.ts";

/** Kind and level of an image's noise, as plain JSON. */
export type NoiseDraw = NonNullable<DegradationLevels["noise"]> & {
  /** The same in every channel. Default false. */
  readonly gray?: boolean;
};

/** What the kind and the level are drawn from. */
export interface NoiseDrawOptions {
  /** Probability of Gaussian noise; else it is Poisson noise. */
  readonly gaussianNoiseProb: number;
  /** Standard deviation of the Gaussian noise in steps of 255. */
  readonly noiseRange: Range;
  readonly poissonScaleRange: Range;
}

/** Draws kind and level. */
export function drawNoise(rng: Rng, { gaussianNoiseProb, noiseRange, poissonScaleRange }: NoiseDrawOptions): NoiseDraw {
  return rng.uniform() < gaussianNoiseProb
    ? { type: "gaussian", sigma: uniform(rng, noiseRange) }
    : { type: "poisson", scale: uniform(rng, poissonScaleRange) };
}

/** Checks the options; `suffix` ends their names. */
export function checkNoise(checks: OptionChecks, options: NoiseDrawOptions, suffix = ""): void {
  checks.probability(`gaussianNoiseProb${suffix}`, options.gaussianNoiseProb);
  checks.range(`noiseRange${suffix}`, options.noiseRange);
  checks.range(`poissonScaleRange${suffix}`, options.poissonScaleRange);
}

/** Adds to each of `images (b, 3, h, w)` its own noise, clipped to [0, 1]. The fields are drawn from a generator for each image. */
export function addNoise(images: Tensor, draws: readonly NoiseDraw[], generators: readonly Rng[]): Tensor {
  const kinds = draws.map(({ type }) => type);
  return inGroups(images, kinds, (part, indices) => {
    const some = indices.map((i) => draws[i]!);
    const level = some.map((draw) => (draw.type === "gaussian" ? draw.sigma : draw.scale));
    const options: NoiseOptions = { gray: some.map(({ gray }) => (gray ? 1 : 0)) };
    // Grey noise has a stream of its own: whether it is asked for, for a neighbour perhaps, does not change the coloured one.
    const fields = (kind: "gray" | "color", make: (rng: Rng, at: number) => Tensor): Tensor => {
      const streams = indices.map((i) => (kind === "gray" ? generators[i]!.fork("gray") : generators[i]!));
      return cat(streams.map(make), 0);
    };
    if (some[0]!.type === "gaussian") {
      return addGaussianNoise(part, {
        ...options,
        sigma: level,
        draw: ([, ...shape], kind) => fields(kind, (rng) => randn(part.device, [1, ...shape], rng)),
      });
    }
    return addPoissonNoise(part, {
      ...options,
      scale: level,
      draw: (rate, kind) => fields(kind, (rng, at) => poisson(narrow(rate, 0, at, 1), rng)),
    });
  });
}
