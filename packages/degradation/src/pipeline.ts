/** The semantic-driven synthesis: images and what was drawn for them → low-quality images (spec: degradation, section 6). */
import {
  cat,
  clamp,
  flip,
  indexSelect,
  narrow,
  poisson,
  Rng,
  randn,
  ShapeError,
  type Tensor,
  transpose,
} from "@deplsr/tensor";
import { blurImages } from "./blur.ts";
import { type BlurKernelSpec, blurKernel } from "./blur-kernel.ts";
import type { SemanticDraw } from "./draw.ts";
import { diffJpeg } from "./jpeg.ts";
import { addGaussianNoise, addPoissonNoise } from "./noise.ts";
import { resize } from "./resize.ts";

/**
 * What the second stage starts from. `reference`: from the clean image again, as in the published code, so that only one blur and one noise
 * remain and the caption is literally true. `sequential`: from the result of the first stage, so that both add up.
 */
export type Chain = "reference" | "sequential";

/**
 * Degrades a batch: `images (b, 3, h, w)` RGB in [0, 1] and one draw for each → `(b, 3, s, s)` with s the draws' `lqSize`; the aspect
 * ratio is not kept. Blur, noise, JPEG, for some a sinc filter, then bicubic resizing, which may leave [0, 1].
 *
 * An image's result depends on its own draw alone, not on the batch it is in.
 *
 * @throws ShapeError when the draws do not fit the batch, or images are too small for their kernels
 */
export function degradeSemantic(
  images: Tensor,
  draws: readonly SemanticDraw[],
  { chain = "reference" }: { readonly chain?: Chain } = {},
): Tensor {
  if (images.rank !== 4 || images.shape[1] !== 3 || images.shape[0] !== draws.length || draws.length === 0) {
    throw new ShapeError(
      `degradeSemantic: images [${images.shape.join(", ")}] must be (b, 3, h, w) with one draw each, got ${draws.length} draws`,
    );
  }
  const lqSize = draws[0]!.lqSize;
  if (draws.some((draw) => draw.lqSize !== lqSize))
    throw new ShapeError("degradeSemantic: draws of one batch must share lqSize");
  let x = augment(images, draws);
  // In the reference's chain the first stage has no effect; its random fields are its own, so leaving it out changes nothing.
  if (chain === "sequential") x = stage(x, draws, 0);
  x = clamp(stage(x, draws, 1), { min: 0, max: 1 });
  x = diffJpeg(x, { quality: draws.map((draw) => draw.quality) });
  x = onSubset(
    x,
    draws,
    (draw) => draw.sinc !== null,
    (part, some) =>
      blur(
        part,
        some.map((draw) => draw.sinc!),
      ),
  );
  return resize(x, "bicubic", { size: [lqSize, lqSize] });
}

/** One blur and one noise. */
function stage(images: Tensor, draws: readonly SemanticDraw[], index: 0 | 1): Tensor {
  const blurred = blur(
    images,
    draws.map((draw) => draw.kernels[index]),
  );
  const fields = (draw: SemanticDraw): Rng => new Rng(draw.seed).fork(`noise of stage ${index + 1}`);
  const withGaussian = onSubset(
    blurred,
    draws,
    (draw) => draw.noise.type === "gaussian",
    (part, some) => {
      const [, c = 0, h = 0, w = 0] = part.shape;
      const draw = (): Tensor =>
        cat(
          some.map((one) => randn(part.device, [1, c, h, w], fields(one))),
          0,
        );
      return addGaussianNoise(part, {
        sigma: some.map(({ noise }) => (noise.type === "gaussian" ? noise.sigma : 0)),
        draw,
      });
    },
  );
  return onSubset(
    withGaussian,
    draws,
    (draw) => draw.noise.type === "poisson",
    (part, some) => {
      const draw = (rate: Tensor): Tensor =>
        cat(
          some.map((one, i) => poisson(image(rate, i), fields(one))),
          0,
        );
      return addPoissonNoise(part, {
        scale: some.map(({ noise }) => (noise.type === "poisson" ? noise.scale : 0)),
        draw,
      });
    },
  );
}

function blur(images: Tensor, kernels: readonly BlurKernelSpec[]): Tensor {
  return blurImages(images, kernels.map(blurKernel));
}

/** Flips and transposes the images whose draws say so. */
function augment(images: Tensor, draws: readonly SemanticDraw[]): Tensor {
  if (!draws.some(({ augment: { horizontal, vertical, transpose } }) => horizontal || vertical || transpose))
    return images;
  const parts = draws.map(({ augment: { horizontal, vertical, transpose: swap } }, i) => {
    const axes = [...(vertical ? [2] : []), ...(horizontal ? [3] : [])];
    const flipped = axes.length > 0 ? flip(image(images, i), axes) : image(images, i);
    return swap ? transpose(flipped, 2, 3) : flipped;
  });
  return cat(parts, 0);
}

/** Applies `change` to the images whose draws fulfil `test`, and leaves the others as they are. */
function onSubset(
  images: Tensor,
  draws: readonly SemanticDraw[],
  test: (draw: SemanticDraw) => boolean,
  change: (part: Tensor, some: readonly SemanticDraw[]) => Tensor,
): Tensor {
  const chosen = [...draws.keys()].filter((i) => test(draws[i]!));
  if (chosen.length === 0) return images;
  if (chosen.length === draws.length) return change(images, draws);
  const rest = [...draws.keys()].filter((i) => !test(draws[i]!));
  const select = (x: Tensor, rows: readonly number[]): Tensor =>
    indexSelect(x, 0, x.device.tensor(Int32Array.from(rows)));
  const changed = change(
    select(images, chosen),
    chosen.map((i) => draws[i]!),
  );
  const order = [...chosen, ...rest];
  const back = [...draws.keys()].map((i) => order.indexOf(i));
  return select(cat([changed, select(images, rest)], 0), back);
}

/** One image of a batch, as a batch of one. */
function image(images: Tensor, index: number): Tensor {
  return narrow(images, 0, index, 1);
}
