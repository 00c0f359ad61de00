import { checkNumber, checkOptions, checkTensor, wrongArgument } from "../arguments.ts";
import { composed, gradEnabled, noGrad, record, recordTogether } from "../autograd.ts";
import type { View } from "../backend.ts";
import { checkpoint } from "../checkpoint.ts";
import { describe, ShapeError } from "../errors.ts";
import { collapse, denseLayout, expandLayout, type Layout } from "../layout.ts";
import { empty, filled, launched } from "../making.ts";
import { broadcastShapes, numel, type Shape, sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { checkFloats, throughF32, widened } from "./floats.ts";
import { matmul } from "./matmul.ts";
import { add, mul, where } from "./pointwise.ts";
import { sumTo } from "./reduction.ts";
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

/** Leaves of an epilogue, its own result among them, behind queries, keys and values; each bias takes the room of one. */
const LEAVES = 5;

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
    return softmax(addends(q, k, options).reduce(add, scaledScores(q, k, options.scale ?? 1 / Math.sqrt(d))), -1);
  });
}

/** `q·kᵀ·scale`. The factor belongs to each of the products, there and back. */
function scaledScores(q: Tensor, k: Tensor, scale: number): Tensor {
  const scores = noGrad(() => mul(matmul(q, transpose(k, -2, -1)), scale));
  const [left, right] = [q.shape, k.shape];
  return record(
    scores,
    "attentionWeights",
    [q, [k], (dy, k) => sumTo(mul(matmul(dy, k), scale), left)],
    [k, [q], (dy, q) => sumTo(mul(matmul(transpose(dy, -2, -1), q), scale), right)],
  );
}

/**
 * Scaled dot-product attention. `q (…, n, d)`, `k (…, m, d)`, `v (…, m, e)` → `(…, n, e)`. The attention map is not kept for the gradient, but
 * computed again; where the backend has a kernel for it, it is never stored at all.
 * @see https://arxiv.org/abs/1706.03762 eq. 1, https://arxiv.org/abs/2205.14135
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
  return composed("attention", () => fused(q, k, v, options) ?? plain(q, k, v, options));
}

/** The definition. */
function plain(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
  const optionsOf = reading(options);
  const work = (...[q, k, v, ...added]: Tensor[]): Tensor => matmul(attentionWeights(q!, k!, optionsOf(added)), v!);
  const operands = [q, k, v, ...addedOf(options)];
  return gradEnabled() && operands.some((x) => x.requiresGrad) ? checkpoint(work, ...operands) : work(...operands);
}

/** The tensors among the options. */
function addedOf({ bias, mask }: AttentionOptions): Tensor[] {
  return [bias, mask].filter((x) => typeof x === "object");
}

/** Makes the options again from such tensors, those of another time; keeps none itself. */
function reading({ bias, mask, ...rest }: AttentionOptions): (added: readonly Tensor[]) => AttentionOptions {
  const causal = mask === "causal" && { mask };
  const names = [bias && "bias", typeof mask === "object" && "mask"].filter((name) => typeof name === "string");
  return (added) => ({ ...rest, ...causal, ...Object.fromEntries(names.map((name, i) => [name, added[i]!])) });
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

/** Attention in one kernel, or undefined where the plain form has to do: for odd shapes, and on other backends. */
function fused(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor | undefined {
  const { device } = q;
  const { backend } = device;
  const batch = q.shape.slice(0, -2);
  const [n, d] = q.shape.slice(-2) as [number, number];
  const [m, e] = v.shape.slice(-2) as [number, number];
  const added = addedOf(options);
  const all = [q, k, v, ...added];
  const wanted = gradEnabled() && all.some((x) => x.requiresGrad);
  const gradients = backend.attentionGrad ?? backend.attentionSlopes;
  if (!backend.attention || (wanted && !gradients)) return undefined;
  if (backend.takesAttention?.({ depth: d, width: e, keys: m, gradient: wanted }) === false) return undefined;
  if (all.some((x) => x.device !== device || x.size === 0)) return undefined;
  if (!sameShape(k.shape, [...batch, m, d]) || !sameShape(v.shape, [...batch, m, e])) return undefined;
  const scores = [...batch, n, m];
  const scale = options.scale ?? 1 / Math.sqrt(d);
  const sums = wanted ? sumsOf(added, scores) : undefined;
  return withBiases(q, k, options, (biases) => {
    const folded = biasViews(biases, scores, sums);
    if (!folded) return undefined;
    const operands = { q: matrices(q), k: matrices(k), v: matrices(v), biases: folded.biases, scale };
    if (backend.attentionSlopes) {
      const { biases } = operands;
      const y = launched(device, {
        ...{
          shape: [...batch, n, e],
          dtype: "f32",
          label: "attention",
          reads: [operands.q, operands.k, operands.v, ...biases],
        },
        leaves: LEAVES - biases.length,
        record: (out, epilogue) => backend.attention!({ ...operands, out: rows(out), ...(epilogue && { epilogue }) }),
      });
      recordProducts(y, all, { scale, scores, sums, optionsOf: reading(options) });
      return y;
    }
    const stats = wanted ? empty(device, [numel(batch), n, 2], "f32", "attention.stats") : undefined;
    const y = filled(device, [...batch, n, e], "f32", "attention", (out) =>
      backend.attention!({ ...operands, out: rows(out), ...(stats && { stats: stats.view() }) }),
    );
    recordGradient(y, all, stats, { scale, scores, sums, optionsOf: reading(options) });
    stats?.dispose();
    return y;
  });
}

/** What the gradient of attention has to know besides its operands. */
interface Recorded {
  readonly scale: number;
  /** The shape of the scores, and that of the sum of their gradient which the biases want. */
  readonly scores: Shape;
  readonly sums: Shape | undefined;
  readonly optionsOf: (added: readonly Tensor[]) => AttentionOptions;
}

function recordGradient(
  y: Tensor,
  inputs: readonly Tensor[],
  stats: Tensor | undefined,
  { scale, scores, sums, optionsOf }: Recorded,
): void {
  const wanting = inputs.map((x) => x.requiresGrad);
  recordTogether([y], "attention", inputs, stats ? [...inputs, stats] : inputs, ([dy], give, saved) => {
    const [q, k, v, ...added] = saved.slice(0, inputs.length) as [Tensor, Tensor, Tensor, ...Tensor[]];
    const { device } = q;
    const gradient = (shape: Shape): Tensor => empty(device, shape, "f32", "attention.grad");
    const [dq, dk, dv] = [gradient(q.shape), gradient(k.shape), gradient(v.shape)];
    const dbias = sums && gradient(sums);
    withBiases(q, k, optionsOf(added), (biases) => {
      const folded = biasViews(biases, scores, sums)!;
      device.backend.attentionGrad!({
        ...{ q: matrices(q), k: matrices(k), v: matrices(v), biases: folded.biases, scale },
        stats: saved.at(-1)!.dense("attention"),
        dy: rows(dy!.dense("attention")),
        dq: rows(dq.view()),
        dk: rows(dk.view()),
        dv: rows(dv.view()),
        ...(dbias && { dbias: { ...dbias.view(), layout: folded.sums! } }),
      });
    });
    [dq, dk, dv].forEach((dx, i) => {
      if (wanting[i]) give(i, dx);
      else dx.dispose();
    });
    if (!dbias) return;
    const own = added.map((x, i) => (wanting[3 + i] ? sumTo(dbias, x.shape) : undefined));
    own.forEach((dx, i) => {
      if (dx) give(3 + i, dx);
    });
    if (!own.includes(dbias)) dbias.dispose();
  });
}

/** Gradients as products of the map and the scores' gradient, each of which goes on computing. */
function recordProducts(y: Tensor, inputs: readonly Tensor[], { scale, scores, sums, optionsOf }: Recorded): void {
  recordTogether([y], "attention", inputs, inputs, ([dy], give, saved) => {
    const [q, k, v, ...added] = saved as [Tensor, Tensor, Tensor, ...Tensor[]];
    const { backend } = q.device;
    // The factor of both products, put where it costs nothing; that of a bias is taken out of its sum. None can be taken out of 0.
    const factor = scale === 0 ? 1 : scale;
    const [weights, slopes] = [0, 1].map(() => empty(q.device, scores, "f32", "attention.grad")) as [Tensor, Tensor];
    withBiases(q, k, optionsOf(added), (biases) =>
      backend.attentionSlopes!({
        ...{ q: matrices(q), k: matrices(k), v: matrices(v), biases: biasViews(biases, scores, sums)!.biases, scale },
        factor,
        dy: matrices(dy!),
        weights: rows(weights.view()),
        slopes: rows(slopes.view()),
      }),
    );
    const scaled = (x: Tensor): Tensor => (scale === factor ? x : mul(x, scale));
    give(0, () => scaled(matmul(slopes, k)));
    give(1, () => scaled(matmul(transpose(slopes, -2, -1), q)));
    give(2, () => matmul(transpose(weights, -2, -1), dy!));
    for (const [i, { shape }] of added.entries()) {
      give(3 + i, () => (factor === 1 ? sumTo(slopes, shape) : mul(sumTo(slopes, shape), 1 / factor)));
    }
  });
}

/** Runs `work` with what is added to the scores, and gives back what was made for that. */
function withBiases<T>(q: Tensor, k: Tensor, options: AttentionOptions, work: (biases: readonly Tensor[]) => T): T {
  const biases = noGrad(() => addends(q, k, options));
  try {
    return work(biases);
  } finally {
    const given = addedOf(options);
    for (const bias of biases) if (!given.includes(bias)) bias.dispose();
  }
}

/** The shape of what the scores' gradient is summed to for those biases that want one; undefined where none does. */
function sumsOf(biases: readonly Tensor[], scores: Shape): Shape | undefined {
  const wanting = biases.filter((bias) => bias.requiresGrad).map(({ shape }) => [...scores.map(() => 1), ...shape]);
  if (wanting.length === 0) return undefined;
  return scores.map((size, axis) =>
    axis >= scores.length - 2 || wanting.some((shape) => shape.at(axis - scores.length) !== 1) ? size : 1,
  );
}

/** A dense batch of matrices, under one index. */
function rows(view: View): View {
  const [n, d] = view.layout.shape.slice(-2) as [number, number];
  return { ...view, layout: denseLayout([numel(view.layout.shape.slice(0, -2)), n, d]) };
}

/** A batch of matrices with its batch folded into two axes; copied where that takes more. */
function matrices(x: Tensor): View {
  const fold = (view: View): View | undefined => {
    const axes = x.rank - 2;
    const { shape, strides } = collapse(x.shape.slice(0, axes), [view.layout.strides.slice(0, axes)]);
    if (shape.length > 2 || view.layout.strides.some((stride) => stride < 0)) return undefined;
    return { ...view, layout: withBatch(view.layout, [1, ...shape].slice(-2), [0, ...strides[0]!].slice(-2)) };
  };
  return fold(x.view("attention")) ?? fold(x.dense("attention"))!;
}

/**
 * What is added to the scores `(…, n, m)`, the batch of all folded into the same three axes; undefined where that is not possible. With `sums`
 * a dense tensor of that shape is folded with them.
 */
function biasViews(
  biases: readonly Tensor[],
  scores: Shape,
  sums: Shape | undefined,
): { readonly biases: View[]; readonly sums: Layout | undefined } | undefined {
  const axes = scores.length - 2;
  const across = biases[0]?.device.backend.attentionSlopes !== undefined;
  const fits = ({ layout: { strides } }: View): boolean =>
    strides.every((stride) => stride >= 0) && (across || strides.at(-1) === 1);
  const views = biases.map((bias) => {
    const view = bias.view("attention");
    const source = fits(view) ? view : bias.dense("attention");
    return { ...source, layout: expandLayout(source.layout, scores) };
  });
  if (!views.every(fits)) return undefined;
  // For the gradient a bias must fold in dense form too: it may lie like that by then.
  const dense = sums ? [...biases.map(({ shape }) => shape), sums] : [];
  const layouts = [
    ...views.map(({ layout }) => layout),
    ...dense.map((shape) => expandLayout(denseLayout(shape), scores)),
  ];
  const folded = collapse(
    scores.slice(0, axes),
    layouts.map(({ strides }) => strides.slice(0, axes)),
  );
  if (folded.shape.length > 3) return undefined;
  const withThree = layouts.map((layout, i) =>
    withBatch(layout, [1, 1, ...folded.shape].slice(-3), [0, 0, ...folded.strides[i]!].slice(-3)),
  );
  return {
    biases: views.map((view, i) => ({ ...view, layout: withThree[i]! })),
    sums: sums && withThree.at(-1)!,
  };
}

/** A layout with other axes in front of its last two. */
function withBatch(layout: Layout, shape: Shape, strides: readonly number[]): Layout {
  return {
    shape: [...shape, ...layout.shape.slice(-2)],
    strides: [...strides, ...layout.strides.slice(-2)],
    offset: layout.offset,
  };
}
