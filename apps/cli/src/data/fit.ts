import { resizeToFit } from "@deplsr/clip";
import type { Rng } from "@deplsr/tensor";
import { crop } from "./crop.ts";
import type { Image } from "./image.ts";

/** Side of JPEG's blocks, by which squares are placed: how strongly an image was compressed shows on the blocks' grid. */
const BLOCK = 8;

/**
 * An image as the square that SRCLIP sees.
 *
 * @param fit `squash` resizes all of it; `crop` takes a square at native resolution. Without `rng` it is the middle one, on the grid of JPEG's
 *   blocks; with it a random one, half of the time on the grid, as in photographs that come out of a camera, else anywhere
 */
export function fitImage(image: Image, size: number, fit: "squash" | "crop", rng?: Rng): Image {
  if (image.width === size && image.height === size) return image;
  if (fit === "squash" || image.width < size || image.height < size) {
    const { width, height, data } = resizeToFit({ ...image, channels: 3 }, size, "squash");
    return { width, height, data: Uint8Array.from(data) };
  }
  const step = rng && rng.uniform() < 0.5 ? 1 : BLOCK;
  const place = (room: number): number =>
    step * (rng?.integer(Math.floor(room / step) + 1) ?? Math.floor(room / 2 / step));
  return crop(image, { left: place(image.width - size), top: place(image.height - size), width: size, height: size });
}
