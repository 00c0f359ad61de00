import { describe, ShapeError } from "../errors.ts";
import type { Tensor } from "../tensor.ts";
import { matmul } from "./matmul.ts";
import { add, mul } from "./pointwise.ts";
import { softmax } from "./softmax.ts";
import { transpose } from "./view.ts";

/** What is done to the scores before the softmax. */
export interface AttentionOptions {
  /** Default `1/√d`. */
  readonly scale?: number;
  /** Added to the scores; broadcasts to (…, n, m). */
  readonly bias?: Tensor;
  /** `causal` hides every key after the query; a tensor is added like a bias. */
  readonly mask?: "causal" | Tensor;
}

/** The attention map `softmax(q·kᵀ·scale + bias + mask)`: `q (…, n, d)`, `k (…, m, d)` → `(…, n, m)`. */
export function attentionWeights(q: Tensor, k: Tensor, { scale, bias, mask }: AttentionOptions = {}): Tensor {
  const d = q.shape.at(-1)!;
  if (q.rank < 2 || k.rank < 2 || k.shape.at(-1) !== d) {
    throw new ShapeError(`attention: q ${describe(q)} and k ${describe(k)} differ in their last size`);
  }
  let scores = matmul(mul(q, scale ?? 1 / Math.sqrt(d)), transpose(k, -2, -1));
  if (bias) scores = add(scores, bias);
  if (mask === "causal") scores = add(scores, causalMask(q, k));
  else if (mask) scores = add(scores, mask);
  return softmax(scores, -1);
}

/** Scaled dot-product attention. `q (…, n, d)`, `k (…, m, d)`, `v (…, m, e)` → `(…, n, e)`. @see https://arxiv.org/abs/1706.03762 eq. 1 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  return matmul(attentionWeights(q, k, options), v);
}

function causalMask(q: Tensor, k: Tensor): Tensor {
  const [n, m] = [q.shape.at(-2)!, k.shape.at(-2)!];
  const values = new Float32Array(n * m);
  for (let i = 0; i < n; i++) values.fill(Number.NEGATIVE_INFINITY, i * m + i + 1, (i + 1) * m);
  return q.device.tensor(values, [n, m], { label: "causal mask" });
}
