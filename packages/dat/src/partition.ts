import { contiguous, permute, reshape, type Tensor, transpose } from "@deplsr/tensor";
import type { Size } from "./window.ts";

/**
 * Between images (b, g·d, h, w) of g heads and windows (b, windows, g, n, d). In memory the windows of queries, keys and values
 * lie with d in front of n: rows of a window are rows of the image, which move whole.
 */

/** Images `(b, g·d, h, w)` → windows `(b, windows, g, n, d)`, one copy. */
export function partition(x: Tensor, window: Size, heads: number): Tensor {
  const [b, c, h, w] = x.shape as [number, number, number, number];
  const [hs, ws] = window;
  const cut = reshape(x, [b, c, h / hs, hs, w / ws, ws]);
  const rows = permute(cut, [0, 2, 4, 1, 3, 5]); // (b, down, across, g·d, hs, ws)
  return transpose(reshape(rows, [b, (h * w) / (hs * ws), heads, c / heads, hs * ws]), -1, -2);
}

/** Windows `(b, windows, g, n, d)` → images `(b, g·d, h, w)`, two copies. */
export function merge(x: Tensor, window: Size, [h, w]: Size): Tensor {
  const [b, , heads, , d] = x.shape as [number, number, number, number, number];
  const [hs, ws] = window;
  const rows = reshape(contiguous(transpose(x, -1, -2)), [b, h / hs, w / ws, heads * d, hs, ws]);
  return reshape(permute(rows, [0, 3, 1, 4, 2, 5]), [b, heads * d, h, w]);
}
