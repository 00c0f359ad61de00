/** The semantic-driven synthesis: images and what was drawn for them → low-quality images (spec: degradation, section 6). */
import { clamp, Rng, ShapeError, type Tensor } from "@deplsr/tensor";
import { augment } from "./augment.ts";
import { blurImages } from "./blur.ts";
import { blurKernel, IDENTITY } from "./blur-kernel.ts";
import { diffJpeg } from "./jpeg.ts";
import { addNoise } from "./noise-draw.ts";
import { resize } from "./resize.ts";
import type { SemanticDraw } from "./semantic-draw.ts";

/**
 * What the second stage starts from. `reference`: from the clean image again, as in the published code, so that only one blur and one noise
 * remain and the caption is literally true. `sequential`: from the result of the first stage, so that both add up.
 */
export type Chain = "reference" | "sequential";

/**
 * Degrades a batch: `images (b, 3, h, w)` RGB in [0, 1] and one draw for each → `(b, 3, s, s)` with s the draws' `lqSize`; the aspect
 * ratio is not kept. Blur, noise, JPEG, for some a sinc filter, then bicubic resizing, which may leave [0, 1].
 *
 * An image's result depends on its own draw alone, not on the batch it is in: the same draw gives the same numbers again on one device.
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
  const { lqSize, antialias } = draws[0]!;
  if (draws.some((draw) => draw.lqSize !== lqSize || draw.antialias !== antialias))
    throw new ShapeError("degradeSemantic: draws of one batch must share lqSize and antialias");
  let x = augment(
    images,
    draws.map((draw) => draw.augment),
  );
  // In the reference's chain the first stage has no effect; its random fields are its own, so leaving it out changes nothing.
  if (chain === "sequential") x = stage(x, draws, 0);
  x = clamp(stage(x, draws, 1), { min: 0, max: 1 });
  x = diffJpeg(x, { quality: draws.map((draw) => draw.quality) });
  x = blurImages(
    x,
    draws.map(({ sinc }) => (sinc ? blurKernel(sinc) : IDENTITY)),
  );
  return resize(x, "bicubic", { size: [lqSize, lqSize] }, { antialias });
}

/** One blur and one noise. */
function stage(images: Tensor, draws: readonly SemanticDraw[], index: 0 | 1): Tensor {
  const blurred = blurImages(
    images,
    draws.map((draw) => blurKernel(draw.kernels[index])),
  );
  return addNoise(
    blurred,
    draws.map(({ noise }) => noise),
    draws.map(({ seed }) => new Rng(seed).fork(`noise of stage ${index + 1}`)),
  );
}
