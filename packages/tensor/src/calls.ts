/** What kernels are called with: views, and plain numbers. */
import type { Expr } from "./expr/expr.ts";
import type { View } from "./storage.ts";

/**
 * `out = tree(leaves, params)`; every leaf has a layout of `out`'s shape, `out` is dense unless the backend has `epilogues`, and a leaf may be `out` itself. A param is of the dtype that the tree gives it:
 * floats are rounded to f32, whole numbers are exact.
 */
export interface PointwiseCall {
  readonly out: View;
  readonly tree: Expr;
  readonly leaves: readonly View[];
  readonly params: readonly number[];
}

/**
 * What a kernel of a backend with `epilogues` does with each of its results before it stores it: `out = tree(leaves, params)`, where leaf
 * number `product` is the result itself. The shape of `out` and of all leaves has as many elements as the result, in the same row-major
 * order; where they lie is `out`'s layout. The kernel's own view of its result then says its sizes only.
 */
export interface Epilogue {
  readonly out: View;
  readonly tree: Expr;
  readonly leaves: readonly View[];
  readonly params: readonly number[];
  readonly product: number;
}

/** Copies between any two layouts of one shape and dtype. */
export interface CopyCall {
  readonly out: View;
  readonly input: View;
}

/**
 * `out` is `input` with each axis, of 8 at most and of strides of at least 0, beginning at another place: element j of an axis of n is element
 * (j + begin) mod n of the input. Not of f16.
 */
export interface RollCall {
  readonly input: View;
  readonly out: View;
  readonly begins: readonly number[];
  readonly epilogue?: Epilogue;
}

export type Reduction = "sum" | "max" | "min" | "argmax" | "argmin";

/**
 * Reduces the middle axis of `input (outer, n, inner)`, any strides, to a dense `out (outer, inner)`. NaN wins a max or min. A backend with `epilogues`
 * takes sums over an axis in front as well, of `input (also, outer, n, inner)`.
 */
export interface ReduceCall {
  readonly kind: Reduction;
  readonly input: View;
  readonly out: View;
  /** Not of positions. */
  readonly epilogue?: Epilogue;
}

/**
 * `out (p, q, m, n) = a (p, q, m, k) · b (p, q, k, n)`, any strides of a and b; out is dense. A backend with `epilogues` sums over p where out's
 * is 1, and then gives `rowSums (m)` too, where p, q and m have one axis: those of a, in dense f32.
 */
export interface MatmulCall {
  readonly a: View;
  readonly b: View;
  readonly out: View;
  readonly rowSums?: View;
  readonly epilogue?: Epilogue;
}

/** Sizes of a 2-D convolution; pairs are (height, width). Padding is zeros on both sides. */
export interface ConvGeometry {
  readonly batch: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly outChannels: number;
  readonly outHeight: number;
  readonly outWidth: number;
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly groups: number;
}

/** NCHW cross-correlation and its gradients; all operands dense. That of the weight takes no epilogue. */
export interface ConvCall {
  readonly geometry: ConvGeometry;
  readonly x: View;
  readonly weight: View;
  readonly y: View;
  /** With the gradient of a depthwise weight, where the backend has epilogues: receives the sums of y (outChannels), which are the bias's. */
  readonly sums?: View;
  readonly epilogue?: Epilogue;
}

/** Rows of `cols` elements; all operands dense. */
export interface SoftmaxCall {
  readonly rows: number;
  readonly cols: number;
  readonly log: boolean;
  readonly x: View;
  readonly y: View;
}

/** `dx` of a softmax (or log-softmax) from its result `y` and `dy`. */
export interface SoftmaxGradCall {
  readonly rows: number;
  readonly cols: number;
  readonly log: boolean;
  readonly y: View;
  readonly dy: View;
  readonly dx: View;
}

/**
 * Layer normalisation of rows; `stats (rows, 3)` receives mean, scale and shift of each: the normalised x is `(x − mean) · scale +
 * shift`, where the shift makes good what the mean lost when it was rounded.
 */
export interface NormCall {
  readonly rows: number;
  readonly cols: number;
  readonly eps: number;
  readonly x: View;
  readonly y: View;
  readonly stats: View;
  readonly weight?: View;
  readonly bias?: View;
}

/** `dx` of layer normalisation; `weight` as in the forward call. */
export interface NormGradCall {
  readonly rows: number;
  readonly cols: number;
  readonly x: View;
  readonly stats: View;
  readonly dy: View;
  readonly dx: View;
  readonly weight?: View;
  readonly epilogue?: Epilogue;
}

/** The gradients of weight and bias of layer normalisation: `byWeight` and `byBias (cols)`, Σ dy·n and Σ dy over the rows, n the normalised x. */
export interface NormSumsCall extends Pick<NormGradCall, "rows" | "cols" | "x" | "stats" | "dy"> {
  readonly byWeight: View;
  readonly byBias: View;
}

/** A layer of `normMlp`, and the elements at which its tensors begin among the parameters; the first layer has no norm. */
export interface MlpLayerCall {
  readonly inner: number;
  readonly outer: number;
  readonly weight: number;
  readonly bias: number;
  readonly normWeight: number;
  readonly normBias: number;
}

/**
 * A perceptron of each of `rows`, up to 8 layers of up to 16 values: linear, then layer norm, ReLU and linear for each further one. `x (rows, inner)` and
 * `y (rows, outer)` are dense, `parameters` whatever lies between the first and the last of them.
 */
export interface MlpCall {
  readonly rows: number;
  readonly eps: number;
  readonly layers: readonly MlpLayerCall[];
  readonly x: View;
  readonly parameters: View;
  readonly y: View;
}

/** The gradients of its parameters, which lie as those do. */
export interface MlpGradCall extends Omit<MlpCall, "y"> {
  readonly dy: View;
  readonly gradients: View;
}

/**
 * Statistics of each channel of a dense x (batch, channels, area), none of them empty. `stats (6, channels)` receives mean, variance (biased),
 * scale, shift, slope and constant: the normalised x is `(x − mean) · scale + shift`, where the shift makes good what the mean lost when it
 * was rounded, and that with weight and bias is `(x − mean) · slope + constant`.
 */
export interface BatchStatsCall {
  readonly batch: number;
  readonly channels: number;
  readonly area: number;
  readonly eps: number;
  readonly x: View;
  readonly stats: View;
  readonly weight?: View;
  readonly bias?: View;
  readonly running?: RunningViews;
}

/** Dense: the mean and the unbiased variance, in place, move by `momentum` towards the batch's, and the count, i32, grows by 1. */
export interface RunningViews {
  readonly mean: View;
  readonly variance: View;
  readonly count: Update;
  readonly momentum: number;
}

/**
 * The gradients of batch normalisation with the batch's statistics, from the forward call's stats: `byWeight` and `byBias (channels)`, which
 * are Σ dy·n and Σ dy, n the normalised x, and two `factors (2, channels)`: that of x is `dy · slope + (x − mean) · factor₀ + factor₁`.
 */
export interface BatchStatsGradCall extends Pick<BatchStatsCall, "batch" | "channels" | "area" | "x" | "stats"> {
  readonly dy: View;
  readonly byWeight: View;
  readonly byBias: View;
  readonly factors: View;
}

/** `out[o, j, i] = x[o, index[j], i]` for `x (outer, n, inner)`; dense operands, `index` i32 of `count`. */
export interface GatherCall {
  readonly outer: number;
  readonly n: number;
  readonly inner: number;
  readonly count: number;
  readonly x: View;
  readonly index: View;
  readonly out: View;
}

/** Gather of single elements: `out[o, j, i] = x[o, index[o, j, i], i]`. */
export type GatherElementsCall = GatherCall;

/**
 * `out[o, r, i] = Σ x[o, j, i]` over the `j` with `index[j] = r`, summed in a fixed order. The positions are given sorted by
 * row: those of row r are `order[start[r]] … order[start[r + 1] − 1]`.
 */
export interface SegmentSumCall {
  readonly outer: number;
  readonly rows: number;
  readonly inner: number;
  readonly count: number;
  readonly x: View;
  readonly order: View;
  readonly start: View;
  readonly out: View;
}

/** The adjoint of a gather whose index is known on the device only; `elements` as in GatherElementsCall. */
export interface ScatterAddCall {
  readonly outer: number;
  readonly rows: number;
  readonly inner: number;
  readonly count: number;
  readonly elements: boolean;
  readonly x: View;
  readonly index: View;
  readonly out: View;
}

/** `out[o, i, c] = Σ_t weights[i, t] · x[o, start[i] + t, c]`: every separable resampling filter and its adjoint. */
export interface ResampleCall {
  readonly outer: number;
  readonly inSize: number;
  readonly outSize: number;
  readonly inner: number;
  readonly taps: number;
  readonly x: View;
  readonly start: View;
  readonly weights: View;
  readonly out: View;
}

/** Fills `out` with Philox draws: words of key `key` at counters from `counter` on, four words a counter. */
export interface RandomCall {
  readonly kind: "bits" | "uniform" | "normal" | "poisson";
  readonly key: readonly [number, number];
  readonly counter: number;
  /** Key and counter of a replay, asked before it: where this is recorded. */
  readonly later?: () => Pick<RandomCall, "key" | "counter">;
  readonly out: View;
  /** Poisson rates, dense, one for each element. */
  readonly rate?: View;
}

/** Number of distinct values, in 0..255, in each row of `x (rows, cols)`. */
export interface CountDistinctCall {
  readonly rows: number;
  readonly cols: number;
  readonly x: View;
  readonly out: View;
}

/** What is written: from `before` to `after`, which may be the same storage. */
export interface Update {
  readonly before: View;
  readonly after: View;
}

/**
 * One step of Adam; all dense f32 of one size: m ← β₁m + rest₁g, v ← β₂v + rest₂g², p ← p − shrink·p −
 * stepSize·m / (√v / rootCorrection + eps), where g is the gradient plus decay·p.
 */
export interface AdamCall {
  readonly grad: View;
  readonly param: Update;
  readonly expAvg: Update;
  readonly expAvgSq: Update;
  readonly numbers: AdamNumbers;
  /** Those of a replay, asked before it: where this is recorded. */
  readonly later?: () => AdamNumbers;
}

/** The numbers of a step of Adam, rounded to f32 once. */
export type AdamNumbers = Readonly<
  Record<"beta1" | "beta2" | "rest1" | "rest2" | "eps" | "decay" | "shrink" | "stepSize" | "rootCorrection", number>
>;

/**
 * `out = softmax(q·kᵀ·scale + Σ biases)·v`, without storing the scores; a backend may leave it out. A batch has one linear index:
 * q (·, ·, n, d), k (·, ·, m, d) and v (·, ·, m, e) each fold it into two axes of any strides; out (batch, n, e) is dense.
 */
export interface AttentionCall {
  readonly scale: number;
  readonly q: View;
  readonly k: View;
  readonly v: View;
  readonly out: View;
  /** Each (·, ·, ·, n, m): the batch in three axes, the same ones for all; along m the elements lie side by side, but for a backend with `attentionSlopes`. */
  readonly biases: readonly View[];
  /** Receives, dense (batch, n, 2), the largest score of each row and what its exponentials are multiplied with: the gradient's start. */
  readonly stats?: View;
  /** Of a backend that has `attentionSlopes`. */
  readonly epilogue?: Epilogue;
}

/**
 * What the gradients of attention are products of, from the operands of the forward call and `dy` (·, ·, n, e), which folds its batch like q: the map,
 * computed again, and the gradient of what the softmax is taken of, times a factor; both dense (batch, n, m).
 */
export interface AttentionSlopesCall extends Pick<AttentionCall, "scale" | "q" | "k" | "v" | "biases"> {
  readonly factor: number;
  readonly dy: View;
  readonly weights: View;
  readonly slopes: View;
}

/** Elements of a query and of a value, keys, and whether gradients are wanted as well. */
export interface AttentionSizes {
  readonly depth: number;
  readonly width: number;
  readonly keys: number;
  readonly gradient: boolean;
}

/**
 * The gradients of attention, from the operands of the forward call, its stats and `dy` (batch, n, e), dense like all that is written:
 * the map is computed again. `dbias` is the gradient of the scores, summed along those of the biases' three axes where its stride is 0.
 */
export interface AttentionGradCall extends Pick<AttentionCall, "scale" | "q" | "k" | "v" | "biases"> {
  readonly stats: View;
  readonly dy: View;
  readonly dq: View;
  readonly dk: View;
  readonly dv: View;
  readonly dbias?: View;
}

/** `out` is what `work` makes of the numbers of `input` once all that was recorded before has run; both are dense, and what is recorded behind waits. */
export interface HostCall {
  readonly input: View;
  readonly out: View;
  readonly work: (values: Float32Array) => Promise<Float32Array>;
}
