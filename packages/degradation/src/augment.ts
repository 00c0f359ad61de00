import { cat, flip, narrow, type Rng, type Tensor, transpose } from "@deplsr/tensor";

/** How an image is turned before it is degraded. Flips come first. */
export interface Augmentation {
  readonly horizontal: boolean;
  readonly vertical: boolean;
  /** Rows become columns. */
  readonly transpose: boolean;
}

/** Which augmentations may be drawn, each with the probability ½. */
export interface AugmentOptions {
  readonly useHflip: boolean;
  /** Vertical flips and transposition. */
  readonly useRot: boolean;
}

/** Draws the augmentation of one image. @see BasicSR `augment` */
export function drawAugmentation(rng: Rng, { useHflip, useRot }: AugmentOptions): Augmentation {
  const coin = (enabled: boolean): boolean => rng.uniform() < (enabled ? 0.5 : 0);
  return { horizontal: coin(useHflip), vertical: coin(useRot), transpose: coin(useRot) };
}

/** Turns each image of `images (b, c, h, w)` in its way. Where only some are transposed, they must be squares. */
export function augment(images: Tensor, augmentations: readonly Augmentation[]): Tensor {
  if (!augmentations.some(({ horizontal, vertical, transpose }) => horizontal || vertical || transpose)) return images;
  const parts = augmentations.map(({ horizontal, vertical, transpose: swap }, i) => {
    const image = narrow(images, 0, i, 1);
    const axes = [...(vertical ? [2] : []), ...(horizontal ? [3] : [])];
    const flipped = axes.length > 0 ? flip(image, axes) : image;
    return swap ? transpose(flipped, 2, 3) : flipped;
  });
  return cat(parts, 0);
}
