/** Lanczos' interpolation. (Libraries that shrink with it often enlarge with something else: libvips, for one, takes a cubic.) */
import type { Image } from "../../../apps/cli/src/data/image.ts";

/** Lobes on each side. */
const LOBES = 3;

/** An image enlarged by a whole factor with three lobes; pixel centres half a pixel off the grid, borders mirrored, rounded once. */
export function lanczos({ width, height, data }: Image, scale: number): Image {
  const [columns, rows] = [taps(width, scale), taps(height, scale)];
  const wide = new Float64Array(height * columns.length * 3);
  for (let y = 0; y < height; y++) {
    for (const [x, { from, weights }] of columns.entries()) {
      for (let c = 0; c < 3; c++) {
        const sum = weights.reduce((total, weight, k) => total + weight * data[(y * width + from[k]!) * 3 + c]!, 0);
        wide[(y * columns.length + x) * 3 + c] = sum;
      }
    }
  }
  const line = columns.length * 3;
  const result = new Uint8Array(rows.length * line);
  for (const [y, { from, weights }] of rows.entries()) {
    for (let i = 0; i < line; i++) {
      const sum = weights.reduce((total, weight, k) => total + weight * wide[from[k]! * line + i]!, 0);
      result[y * line + i] = Math.round(Math.min(255, Math.max(0, sum)));
    }
  }
  return { width: columns.length, height: rows.length, data: result };
}

/** Which pixels make up each new one along an axis, with weights of sum 1. */
function taps(length: number, scale: number): { readonly from: number[]; readonly weights: number[] }[] {
  return Array.from({ length: length * scale }, (_, i) => {
    const centre = (i + 0.5) / scale - 0.5;
    const first = Math.floor(centre) - LOBES + 1;
    const places = Array.from({ length: 2 * LOBES }, (_, k) => first + k);
    const raw = places.map((place) => kernel(centre - place));
    const sum = raw.reduce((total, weight) => total + weight, 0);
    return { from: places.map((place) => mirror(place, length)), weights: raw.map((weight) => weight / sum) };
  });
}

/** `sinc(x) sinc(x / 3)` within three pixels. */
function kernel(x: number): number {
  if (x === 0) return 1;
  if (Math.abs(x) >= LOBES) return 0;
  return (LOBES * Math.sin(Math.PI * x) * Math.sin((Math.PI * x) / LOBES)) / (Math.PI * x) ** 2;
}

/** The pixel that stands for one beyond the border: the edge itself included. */
function mirror(at: number, length: number): number {
  const period = 2 * length;
  const place = ((at % period) + period) % period;
  return place < length ? place : period - 1 - place;
}
