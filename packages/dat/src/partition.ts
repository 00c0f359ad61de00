import { chunk, contiguous, permute, reshape, squeeze, type Tensor, transpose } from "@deplsr/tensor";
import type { Size } from "./window.ts";

/**
 * Between images (b, g·d, h, w) of g heads and windows (b, windows, g, n, d). In memory the windows of queries, keys and values
 * lie with d in front of n: rows of a window are rows of the image, which move whole.
 */

/** Images `(b, k, g·d, h, w)` → k times windows `(b, windows, g, n, d)`, one copy. */
export function partition(x: Tensor, window: Size, heads: number): Tensor[] {
  const [b, k, c, h, w] = x.shape as [number, number, number, number, number];
  const [hs, ws] = window;
  const cut = reshape(x, [b, k, c, h / hs, hs, w / ws, ws]);
  const rows = permute(cut, [1, 0, 3, 5, 2, 4, 6]); // (k, b, down, across, g·d, hs, ws)
  const windows = reshape(rows, [k, b, (h * w) / (hs * ws), heads, c / heads, hs * ws]);
  return chunk(transpose(windows, -1, -2), k, 0).map((part) => squeeze(part, 0));
}

/** Windows `(b, windows, g, n, d)` → images `(b, g·d, h, w)`. */
export function merge(x: Tensor, window: Size, [h, w]: Size): Tensor {
  const [b, , heads, , d] = x.shape as [number, number, number, number, number];
  const [hs, ws] = window;
  const flipped = transpose(x, -1, -2);
  // Row by row the copy is several times as fast on a CPU; elsewhere what attends writes straight into the image.
  const rows = x.device.backend.epilogues ? flipped : contiguous(flipped);
  const cut = reshape(rows, [b, h / hs, w / ws, heads, d, hs, ws]);
  return reshape(permute(cut, [0, 3, 4, 1, 5, 2, 6]), [b, heads * d, h, w]);
}
