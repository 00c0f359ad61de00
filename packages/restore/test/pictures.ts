import { conv2d, interpolate, type Tensor } from "@deplsr/tensor";
import { type Depth, depthOf, type RasterImage, valuesOf, whiteOf } from "../src/image.ts";
import type { EnlargingNetwork } from "../src/network.ts";

/** A picture with shading, edges and texture, in the middle of the range. */
export function picture(width: number, height: number, depth: Depth = 8): RasterImage {
  const data = valuesOf(depth, width * height * 3);
  const white = whiteOf(data);
  for (let i = 0; i < data.length; i++) {
    const [c, x, y] = [i % 3, Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    const shading = 0.2 * Math.sin(0.05 * x + 0.03 * y + c) * Math.cos(0.04 * x - 0.06 * y);
    const edge = (Math.floor(x / 9) + Math.floor(y / 7)) % 2 === 0 ? 0.1 : -0.1;
    data[i] = Math.round((0.5 + shading + edge + 0.03 * Math.sin(2.1 * x + 1.3 * y + c)) * white);
  }
  return { width, height, data };
}

/** A picture of one colour. */
export function flat(width: number, height: number, colour: readonly [number, number, number]): RasterImage {
  return { width, height, data: Uint8Array.from({ length: width * height * 3 }, (_, i) => colour[i % 3]!) };
}

/** Every pixel as a square. */
export function nearest(scale: number, change: (x: Tensor) => Tensor = (x) => x): EnlargingNetwork {
  return {
    scale,
    promptDim: null,
    forward: (x) => {
      const [, , h, w] = x.shape as [number, number, number, number];
      return interpolate(change(x), { mode: "nearest", size: [h * scale, w * scale] });
    },
  };
}

/** Each pixel mixed with its surroundings up to two pixels away: what a tile makes of a pixel depends on its surroundings. */
export function smoothing(scale: number): EnlargingNetwork {
  return nearest(scale, (x) => {
    const kernel = x.device.tensor(
      Float32Array.from({ length: 75 }, (_, i) => ((i % 7) + 1) / 98),
      [3, 1, 5, 5],
    );
    return conv2d(x, kernel, { padding: 2, groups: 3 });
  });
}

/** The largest difference between two images of one size, in levels. */
export function apart(a: RasterImage, b: RasterImage): number {
  if (a.width !== b.width || a.height !== b.height || depthOf(a) !== depthOf(b)) return Number.POSITIVE_INFINITY;
  let most = 0;
  for (const [i, value] of a.data.entries()) most = Math.max(most, Math.abs(value - b.data[i]!));
  return most;
}
