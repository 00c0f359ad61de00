import { type AttentionOptions, attention, permute, reshape, type Tensor } from "@deplsr/tensor";

/** Attention in `heads` heads of contiguous channels: queries, keys and values `(b, n, c)` → `(b, n, c)`. */
export function attend(q: Tensor, k: Tensor, v: Tensor, heads: number, options: AttentionOptions = {}): Tensor {
  const [b = 0, n = 0, c = 0] = q.shape;
  const perHead = (x: Tensor): Tensor => permute(reshape(x, [b, n, heads, c / heads]), [0, 2, 1, 3]);
  return reshape(permute(attention(perHead(q), perHead(k), perHead(v), options), [0, 2, 1, 3]), [b, n, c]);
}
