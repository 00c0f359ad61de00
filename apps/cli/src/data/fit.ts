import { resizeToFit } from "@deplsr/clip";
import type { Rng } from "@deplsr/tensor";
import { crop } from "./crop.ts";
import type { Image } from "./image.ts";

/**
 * An image as the square that SRCLIP sees.
 *
 * @param fit `squash` resizes all of it; `crop` takes a square at native resolution: a random one with `rng`, the middle without
 */
export function fitImage(image: Image, size: number, fit: "squash" | "crop", rng?: Rng): Image {
  if (image.width === size && image.height === size) return image;
  if (fit === "squash" || image.width < size || image.height < size) {
    const { width, height, data } = resizeToFit({ ...image, channels: 3 }, size, "squash");
    return { width, height, data: Uint8Array.from(data) };
  }
  const place = (room: number): number => (rng ? rng.integer(room + 1) : Math.floor(room / 2));
  return crop(image, { left: place(image.width - size), top: place(image.height - size), width: size, height: size });
}
