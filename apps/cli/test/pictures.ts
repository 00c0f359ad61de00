import type { Image } from "../src/data/image.ts";

/** A picture with smooth shading, edges and fine texture, the same for one seed at every run. */
export function picture(width: number, height: number, seed = 0): Image {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) {
        const shading = 90 * Math.sin(0.05 * x + 0.03 * y + seed + c) * Math.cos(0.04 * x - 0.06 * y);
        const edge = (Math.floor(x / 9) + Math.floor(y / 7) + seed) % 2 === 0 ? 25 : -25;
        const texture = 8 * Math.sin(2.1 * x + 1.3 * y + seed * c);
        data[(y * width + x) * 3 + c] = Math.round(127 + shading + edge + texture);
      }
    }
  }
  return { width, height, data };
}
