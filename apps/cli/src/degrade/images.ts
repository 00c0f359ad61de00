/** From images to degraded images, on the device. */
import { degradeSecondOrder, degradeSemantic } from "@deplsr/degradation";
import { type Device, noGrad, type Rng, scope, type Tensor } from "@deplsr/tensor";
import { crop, fromPlanes, toPlanes } from "../data/crop.ts";
import type { Image } from "../data/image.ts";
import type { Recipe, Square } from "./plan.ts";

/** Degrades images of one size, each by its recipe; these must be of one pipeline and give results of one size. */
export async function degradeImages(
  device: Device,
  images: readonly Image[],
  recipes: readonly Recipe[],
): Promise<Image[]> {
  const { width, height } = images[0]!;
  using result = scope(() =>
    noGrad(() => degraded(device.tensor(toPlanes(images), [images.length, 3, height, width]), recipes)),
  );
  const [, , h = 0, w = 0] = result.shape;
  return fromPlanes(await result.data(), w, h);
}

function degraded(images: Tensor, recipes: readonly Recipe[]): Tensor {
  const semantic = recipes.filter((recipe) => recipe.pipeline === "semantic");
  if (semantic.length === 0) {
    return degradeSecondOrder(
      images,
      recipes.flatMap((recipe) => (recipe.pipeline === "semantic" ? [] : [recipe.draw])),
    ).lq;
  }
  return degradeSemantic(
    images,
    semantic.map(({ draw }) => draw),
    { chain: semantic[0]!.chain },
  );
}

/** The pixels of a square. The image must be as large as it. */
export function cutSquare(image: Image, { size, left, top }: Square): Image {
  const place = (share: number, side: number): number => Math.floor(share * (side - size + 1));
  return crop(image, { left: place(left, image.width), top: place(top, image.height), width: size, height: size });
}

/** A random square of an image. */
export function randomCrop(image: Image, side: number, rng: Rng): Image {
  return cutSquare(image, { size: side, left: rng.uniform(), top: rng.uniform() });
}
