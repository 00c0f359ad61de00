import { checkNumber, checkOptions, checkTensor, wrongArgument } from "../arguments.ts";
import { composed, gradEnabled } from "../autograd.ts";
import type { View } from "../backend.ts";
import { describe, ShapeError } from "../errors.ts";
import { collapse, expandLayout, type Layout } from "../layout.ts";
import { broadcastShapes, numel, sameShape } from "../shape.ts";
import { filled, type Tensor } from "../tensor.ts";
import { checkFloats, throughF32, widened } from "./floats.ts";
import { matmul } from "./matmul.ts";
import { add, mul, where } from "./pointwise.ts";
import { softmax } from "./softmax.ts";
import { transpose } from "./view.ts";

/** What is done to the scores before the softmax. */
export interface AttentionOptions {
  /** Default `1/√d`. */
  readonly scale?: number;
  /** Added to the scores; broadcasts to (…, n, m). */
  readonly bias?: Tensor;
  /**
   * `causal` hides every key after the query; a tensor of truth values hides where it is false; one of numbers is added like a bias: −∞ hides
   * a key. A query from which every key is hidden has no attention and becomes NaN, as in PyTorch.
   */
  readonly mask?: "causal" | Tensor;
}

const OPTIONS = ["scale", "bias", "mask"] as const satisfies (keyof AttentionOptions)[];

function checkAttention(op: string, q: Tensor, k: Tensor, options: AttentionOptions): void {
  checkTensor(op, "q", q);
  checkTensor(op, "k", k);
  checkOptions(op, options, OPTIONS);
  const { scale, bias, mask } = options;
  if (scale !== undefined) checkNumber(op, "scale", scale);
  if (bias !== undefined) checkTensor(op, "bias", bias);
  if (mask !== undefined && mask !== "causal") {
    if (typeof mask === "string") throw wrongArgument(op, "mask", '"causal" or a tensor', mask);
    checkTensor(op, "mask", mask);
  }
  if (q.rank < 2 || k.rank < 2 || k.shape.at(-1) !== q.shape.at(-1)) {
    throw new ShapeError(`${op}: q ${describe(q)} and k ${describe(k)} differ in their last size`);
  }
  broadcastShapes(op, q.shape.slice(0, -2), k.shape.slice(0, -2));
}

/** The attention map `softmax(q·kᵀ·scale + bias + mask)`: `q (…, n, d)`, `k (…, m, d)` → `(…, n, m)`. */
export function attentionWeights(q: Tensor, k: Tensor, options: AttentionOptions = {}): Tensor {
  checkAttention("attentionWeights", q, k, options);
  const d = q.shape.at(-1)!;
  checkOperands("attentionWeights", { q, k }, options);
  if (q.dtype === "f16") {
    return throughF32("attentionWeights", [q, k], (q, k) => attentionWeights(q, k, widenedAddends(options)));
  }
  return composed("attentionWeights", () => {
    const scores = matmul(mul(q, options.scale ?? 1 / Math.sqrt(d)), transpose(k, -2, -1));
    return softmax(addends(q, k, options).reduce(add, scores), -1);
  });
}

/**
 * Scaled dot-product attention. `q (…, n, d)`, `k (…, m, d)`, `v (…, m, e)` → `(…, n, e)`. Where no gradient will be asked for and the
 * backend has a kernel for it, the attention map is never stored. @see https://arxiv.org/abs/1706.03762 eq. 1
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  checkAttention("attention", q, k, options);
  checkTensor("attention", "v", v);
  if (v.rank < 2 || v.shape.at(-2) !== k.shape.at(-2)) {
    throw new ShapeError(`attention: v ${describe(v)} has not as many rows as k ${describe(k)}`);
  }
  checkOperands("attention", { q, k, v }, options);
  if (q.dtype === "f16") {
    return throughF32("attention", [q, k, v], (q, k, v) => attention(q, k, v, widenedAddends(options)));
  }
  return composed("attention", () => fused(q, k, v, options) ?? matmul(attentionWeights(q, k, options), v));
}

/** @throws DTypeError unless all are f32 or all f16; a mask may be of truth values */
function checkOperands(op: string, operands: Readonly<Record<string, Tensor>>, { bias, mask }: AttentionOptions): void {
  const added = mask === "causal" || mask?.dtype === "bool" ? undefined : mask;
  checkFloats(op, { ...operands, bias, mask: added });
}

function widenedAddends({ bias, mask, ...rest }: AttentionOptions): AttentionOptions {
  return {
    ...rest,
    ...(bias ? { bias: widened(bias) } : {}),
    ...(mask ? { mask: mask === "causal" ? mask : widened(mask) } : {}),
  };
}

/** Bias and mask, as what is added to the scores. */
function addends(q: Tensor, k: Tensor, { bias, mask }: AttentionOptions): Tensor[] {
  const additive = (mask: Tensor): Tensor => (mask.dtype === "bool" ? where(mask, 0, Number.NEGATIVE_INFINITY) : mask);
  const hidden = mask === "causal" ? causalMask(q, k) : mask && additive(mask);
  return [bias, hidden].filter((x) => x !== undefined);
}

function causalMask(q: Tensor, k: Tensor): Tensor {
  const [n, m] = [q.shape.at(-2)!, k.shape.at(-2)!];
  const values = new Float32Array(n * m);
  for (let i = 0; i < n; i++) values.fill(Number.NEGATIVE_INFINITY, i * m + i + 1, (i + 1) * m);
  return q.device.tensor(values, [n, m], { label: "causal mask" });
}

/** Attention in one kernel, or undefined where the plain form has to do: for gradients, other dtypes, odd shapes, other backends. */
function fused(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor | undefined {
  const { backend } = q.device;
  const batch = q.shape.slice(0, -2);
  const [n, d, m, e] = [q.shape.at(-2), q.shape.at(-1), k.shape.at(-2), v.shape.at(-1)] as number[];
  const { bias, mask } = options;
  const all = [q, k, v, bias, mask].filter((x) => typeof x === "object");
  if (!backend.attention || (gradEnabled() && all.some((x) => x.requiresGrad))) return undefined;
  if (all.some((x) => x.device !== q.device || x.size === 0)) return undefined;
  if (!sameShape(k.shape, [...batch, m!, d!]) || !sameShape(v.shape, [...batch, m!, e!])) return undefined;
  const biases = biasViews(addends(q, k, options), [...batch, n!, m!]);
  if (!biases) return undefined;
  const scale = options.scale ?? 1 / Math.sqrt(d!);
  const operands = { q: matrices(q), k: matrices(k), v: matrices(v), biases, scale };
  const layout: Layout = { shape: [numel(batch), n!, e!], strides: [n! * e!, e!, 1], offset: 0 };
  return filled(q.device, [...batch, n!, e!], "f32", "attention", (out) =>
    backend.attention!({ ...operands, out: { ...out, layout } }),
  );
}

/** A batch of matrices with its batch folded into two axes; copied where that takes more. */
function matrices(x: Tensor): View {
  const fold = (view: View): View | undefined => {
    const axes = x.rank - 2;
    const { shape, strides } = collapse(x.shape.slice(0, axes), [view.layout.strides.slice(0, axes)]);
    if (shape.length > 2 || view.layout.strides.some((stride) => stride < 0)) return undefined;
    return withBatch(view, [1, ...shape].slice(-2), [0, ...strides[0]!].slice(-2));
  };
  return fold(x.view("attention")) ?? fold(x.dense("attention"))!;
}

/** What is added to the scores `(…, n, m)`, the batch of all folded into the same three axes; undefined where that is not possible. */
function biasViews(biases: readonly Tensor[], shape: readonly number[]): View[] | undefined {
  const axes = shape.length - 2;
  const views = biases.map((bias) => {
    const view = bias.view("attention");
    return { ...view, layout: expandLayout(view.layout, shape) };
  });
  if (views.some(({ layout }) => layout.strides.some((stride) => stride < 0) || layout.strides.at(-1) !== 1))
    return undefined;
  const folded = collapse(
    shape.slice(0, axes),
    views.map(({ layout }) => layout.strides.slice(0, axes)),
  );
  if (folded.shape.length > 3) return undefined;
  return views.map((view, i) =>
    withBatch(view, [1, 1, ...folded.shape].slice(-3), [0, 0, ...folded.strides[i]!].slice(-3)),
  );
}

/** A view with other axes in front of its last two. */
function withBatch(view: View, shape: readonly number[], strides: readonly number[]): View {
  const layout: Layout = {
    shape: [...shape, ...view.layout.shape.slice(-2)],
    strides: [...strides, ...view.layout.strides.slice(-2)],
    offset: view.layout.offset,
  };
  return { ...view, layout };
}
