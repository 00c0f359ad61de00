/** The second-order synthesis: images and what was drawn for them → training pairs (spec: degradation, section 8). */
import { cat, clamp, Rng, ShapeError, slice, type Tensor } from "@deplsr/tensor";
import { augment } from "./augment.ts";
import { blurImages } from "./blur.ts";
import { type BlurKernelSpec, blurKernel, IDENTITY } from "./blur-kernel.ts";
import { inGroups } from "./groups.ts";
import { diffJpeg } from "./jpeg.ts";
import { roundTo255Levels } from "./levels.ts";
import { addNoise } from "./noise-draw.ts";
import { resize } from "./resize.ts";
import type { SecondOrderDraw } from "./second-order-draw.ts";
import { usmSharpen } from "./usm.ts";

/** Low-quality images and what they were made of: `lq (b, 3, h/s, w/s)`, `gt (b, 3, h, w)`. */
export interface TrainingPair {
  readonly lq: Tensor;
  readonly gt: Tensor;
}

/**
 * Degrades a batch: `images (b, 3, h, w)` RGB in [0, 1] and one draw for each → pairs. `gt` are the images as they were given, turned and cut
 * as drawn, with sides that are multiples of the scale s (the same tensor where there is nothing to do); `lq` are s times smaller and have 256
 * levels. Sharpening; blur, resizing, noise, JPEG; the same again; a sinc filter before or after the last JPEG.
 *
 * An image's result depends on its own draw alone, not on the batch it is in: the same draw gives the same bytes again on one device. Images
 * whose draws differ in sizes or modes on the way are degraded apart, so a batch is fastest with draws that were drawn together.
 *
 * @throws ShapeError when the draws do not fit the batch, or images are too small for their draws; see `smallestSide`
 */
export function degradeSecondOrder(images: Tensor, draws: readonly SecondOrderDraw[]): TrainingPair {
  if (images.rank !== 4 || images.shape[1] !== 3 || images.shape[0] !== draws.length || draws.length === 0) {
    throw new ShapeError(
      `degradeSecondOrder: images [${images.shape.join(", ")}] must be (b, 3, h, w) with one draw each, got ${draws.length} draws`,
    );
  }
  const { scale, crop } = draws[0]!;
  if (draws.some((draw) => draw.scale !== scale || draw.crop?.size !== crop?.size)) {
    throw new ShapeError("degradeSecondOrder: draws of one batch must share scale and the size of crop");
  }
  const turned = augment(
    images,
    draws.map((draw) => draw.augment),
  );
  const [, , h = 0, w = 0] = turned.shape;
  if (crop && Math.min(h, w) < crop.size) {
    throw new ShapeError(`degradeSecondOrder: no square of ${crop.size} pixels can be cut out of ${w} x ${h} pixels`);
  }
  const gt = slice(turned, [null, null, [0, h - (h % scale)], [0, w - (w % scale)]]);
  const routes = draws.map(({ stages, jpegFirst, mode }) =>
    JSON.stringify([stages[0].resize, stages[1].resize, jpegFirst, mode]),
  );
  const lq = inGroups(gt, routes, (part, indices) =>
    degradeTogether(
      part,
      indices.map((i) => draws[i]!),
    ),
  );
  return cropPairs({ lq, gt }, draws);
}

/** The chain for images whose draws share factors, modes and order. */
function degradeTogether(gt: Tensor, draws: readonly SecondOrderDraw[]): Tensor {
  const { scale, stages, jpegFirst, mode } = draws[0]!;
  const [first, second] = [stages[0].resize, stages[1].resize];
  const [h, w] = [gt.shape[2]! / scale, gt.shape[3]! / scale];
  let x = blur(
    usmSharpen(gt),
    draws.map((draw) => draw.stages[0].blur),
  );
  x = noise(resize(x, first.mode, { scaleFactor: first.factor }), draws, 0);
  x = blur(
    compress(x, draws, 0),
    draws.map((draw) => draw.stages[1].blur),
  );
  const size = [Math.floor(h * second.factor), Math.floor(w * second.factor)] as const;
  x = noise(resize(x, second.mode, { size }), draws, 1);
  const finish = (image: Tensor): Tensor =>
    blur(
      resize(image, mode, { size: [h, w] }),
      draws.map(({ sinc }) => sinc),
    );
  return roundTo255Levels(jpegFirst ? finish(compress(x, draws, 1)) : compress(finish(x), draws, 1));
}

function blur(images: Tensor, kernels: readonly (BlurKernelSpec | null)[]): Tensor {
  return blurImages(
    images,
    kernels.map((kernel) => (kernel ? blurKernel(kernel) : IDENTITY)),
  );
}

function noise(images: Tensor, draws: readonly SecondOrderDraw[], stage: 0 | 1): Tensor {
  return addNoise(
    images,
    draws.map(({ stages }) => stages[stage].noise),
    draws.map(({ seed }) => new Rng(seed).fork(`noise of stage ${stage + 1}`)),
  );
}

function compress(images: Tensor, draws: readonly SecondOrderDraw[], stage: 0 | 1): Tensor {
  return diffJpeg(clamp(images, { min: 0, max: 1 }), { quality: draws.map(({ stages }) => stages[stage].quality) });
}

/** Cuts each pair's own square out of both images. */
export function cropPairs(
  { lq, gt }: TrainingPair,
  draws: readonly Pick<SecondOrderDraw, "scale" | "crop">[],
): TrainingPair {
  const { scale, crop } = draws[0]!;
  if (!crop) return { lq, gt };
  const side = crop.size / scale;
  const [, , h = 0, w = 0] = lq.shape;
  const cut = (images: Tensor, factor: number): Tensor => {
    const squares = draws.map((draw, i) => {
      const top = Math.floor(draw.crop!.top * (h - side + 1)) * factor;
      const left = Math.floor(draw.crop!.left * (w - side + 1)) * factor;
      const [end, right] = [top + side * factor, left + side * factor];
      return slice(images, [[i, i + 1], null, [top, end], [left, right]]);
    });
    return cat(squares, 0);
  };
  return { lq: cut(lq, 1), gt: cut(gt, scale) };
}
