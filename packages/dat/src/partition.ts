import { permute, reshape, type Tensor } from "@deplsr/tensor";
import type { Size } from "./window.ts";

/** Images to windows: `(b, k, g·d, h, w)` with g heads → `(k, b, windows, g, n, d)`, one copy. */
export function partition(x: Tensor, window: Size, heads: number): Tensor {
  const [b, k, c, h, w] = x.shape as [number, number, number, number, number];
  const [hs, ws] = window;
  const d = c / heads;
  const cut = reshape(x, [b, k, heads, d, h / hs, hs, w / ws, ws]);
  const tokens = permute(cut, [1, 0, 4, 6, 2, 5, 7, 3]);
  return reshape(tokens, [k, b, (h * w) / (hs * ws), heads, hs * ws, d]);
}

/** The reverse for one result: `(b, windows, g, n, d)` → `(b, g·d, h, w)`, one copy. */
export function merge(x: Tensor, window: Size, [h, w]: Size): Tensor {
  const [b, , heads, , d] = x.shape as [number, number, number, number, number];
  const [hs, ws] = window;
  const cut = reshape(x, [b, h / hs, w / ws, heads, hs, ws, d]);
  return reshape(permute(cut, [0, 3, 6, 1, 4, 2, 5]), [b, heads * d, h, w]);
}
