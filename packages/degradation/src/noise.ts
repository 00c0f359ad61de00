/** Additive noise on images in [0, 1] (spec: degradation, section 2; after Real-ESRGAN). The random fields come from the caller. */
import {
  add,
  clamp,
  countDistinct,
  div,
  E,
  mul,
  pointwise,
  reshape,
  round,
  type Shape,
  sub,
  sum,
  type Tensor,
} from "@deplsr/tensor";
import { perImage, roundTo255Levels, wholeLevels } from "./levels.ts";

/** How noise enters an image. */
export interface NoiseOptions {
  /** 1 for images whose noise is the same in every channel, 0 for the others; left out: none. */
  readonly gray?: readonly number[];
  /** Clip the result to [0, 1]. Default true. */
  readonly clip?: boolean;
  /** Round the result to 255 levels. Default false. */
  readonly rounds?: boolean;
}

/** Level of Gaussian noise and its random field. */
export interface GaussianNoise extends NoiseOptions {
  /** Standard deviation in steps of 255, for the batch or for each image. */
  readonly sigma: number | readonly number[];
  /**
   * Draws standard-normal numbers. It is asked for the grey noise (b, 1, h, w) first, where an image has any; a field (h, w) serves all
   * images, which is what the reference draws.
   */
  readonly draw: (shape: Shape, kind: "gray" | "color") => Tensor;
}

/** Level of Poisson noise and its counts. */
export interface PoissonNoise extends NoiseOptions {
  /** Factor of the noise, for the batch or for each image. */
  readonly scale: number | readonly number[];
  /** Draws counts for rates. It is asked for the grey noise (b, 1, h, w) first, where an image has any. */
  readonly draw: (rate: Tensor, kind: "gray" | "color") => Tensor;
}

/** Adds Gaussian noise: `images (b, 3, h, w) + n·σ/255`. */
export function addGaussianNoise(images: Tensor, { sigma, draw, ...options }: GaussianNoise): Tensor {
  const [b = 0, , h = 0, w = 0] = images.shape;
  const gray = grayShare("addGaussianNoise", images, options);
  const grayField = gray && draw([b, 1, h, w], "gray");
  const field = mix(draw(images.shape, "color"), grayField, gray);
  return finish(add(images, mul(field, mul(perImage("addGaussianNoise", images, sigma), 1 / 255))), options);
}

/**
 * Adds Poisson noise: `images (b, 3, h, w) + scale·(counts/vals − q)`, with q the images in 255 levels, `counts ~ Poisson(q·vals)` and vals
 * the number of distinct levels of an image, rounded up to a power of two. The grey variant does the same to the luma.
 */
export function addPoissonNoise(images: Tensor, { scale, draw, ...options }: PoissonNoise): Tensor {
  const gray = grayShare("addPoissonNoise", images, options);
  const grayField = gray && poissonField(luma(images), "gray", draw);
  const field = mix(poissonField(images, "color", draw), grayField, gray);
  return finish(add(images, mul(field, perImage("addPoissonNoise", images, scale))), options);
}

/** The rates of Poisson noise: `images (b, c, h, w)` → the images in 255 levels, vals `(b, 1, 1, 1)` and their product. */
export function poissonRate(images: Tensor): {
  readonly quantized: Tensor;
  readonly vals: Tensor;
  readonly rate: Tensor;
} {
  const quantized = roundTo255Levels(images);
  const vals = powerOfTwo(reshape(countDistinct(wholeLevels(images)), [images.shape[0]!, 1, 1, 1]));
  return { quantized, vals, rate: mul(quantized, vals) };
}

/** Luma of `images (b, 3, h, w)` as BasicSR's grey noise takes it → `(b, 1, h, w)`. */
function luma(images: Tensor): Tensor {
  return sum(mul(images, images.device.tensor([0.2989, 0.587, 0.114], [1, 3, 1, 1])), { dim: 1, keepDim: true });
}

function poissonField(images: Tensor, kind: "gray" | "color", draw: PoissonNoise["draw"]): Tensor {
  const { quantized, vals, rate } = poissonRate(images);
  return sub(div(draw(rate, kind), vals), quantized);
}

/**
 * The smallest power of two that is not below a count from 1 to 256: `1 + Σ 2^i [n > 2^i]`. Exact, which `2^ceil(log2 n)` in f32 is not:
 * the logarithm of 256 may come out a little above 8.
 */
const powerOfTwo: (count: Tensor) => Tensor = pointwise("powerOfTwo", (n) => {
  let result: E.Term = 1;
  for (let power = 1; power < 256; power *= 2) result = E.add(result, E.select(E.gt(n!, power), power, 0));
  return result as E.Expr;
});

/** The share of grey noise `(b, 1, 1, 1)`; null when no image has any, and then none is drawn. */
function grayShare(op: string, images: Tensor, { gray }: NoiseOptions): Tensor | null {
  return gray?.some((share) => share !== 0) ? perImage(op, images, gray) : null;
}

function mix(color: Tensor, gray: Tensor | null, share: Tensor | null): Tensor {
  return gray && share ? add(mul(color, sub(1, share)), mul(gray, share)) : color;
}

function finish(images: Tensor, { clip = true, rounds = false }: NoiseOptions): Tensor {
  const rounded = rounds ? mul(round(mul(images, 255)), 1 / 255) : images;
  return clip ? clamp(rounded, { min: 0, max: 1 }) : rounded;
}
