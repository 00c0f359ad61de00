/** The vocabulary of the group `ops`: every operation name of the fixtures, spelled with the engine's functions. */
import * as nn from "@deplsr/nn";
import type { Device, Tensor } from "@deplsr/tensor";
import * as t from "@deplsr/tensor";
import type { Attributes } from "./attributes.ts";

/** The tensors that an operation is called with. */
export interface Arguments {
  readonly device: Device;
  /** The tensor of an argument; throws when there is none. */
  get(argument: string): Tensor;
  optional(argument: string): Tensor | undefined;
  /** All arguments in their order. */
  all(): Tensor[];
}

/** Reads its arguments and attributes and gives its results in order. */
export type Operation = (inputs: Arguments, attributes: Attributes) => Tensor | Tensor[];

const unary =
  (op: (x: Tensor) => Tensor): Operation =>
  (inputs) =>
    op(inputs.get("x"));

const binary =
  (op: (a: Tensor, b: Tensor) => Tensor): Operation =>
  (inputs) =>
    op(inputs.get("a"), inputs.get("b"));

/** `dim` null: all axes; a number; or several. */
function dims(attributes: Attributes): { dim?: number | number[]; keepDim: boolean } {
  const dim = attributes.raw("dim");
  const keepDim = attributes.boolean("keepdim");
  if (dim === null) return { keepDim };
  return { dim: typeof dim === "number" ? dim : attributes.numbers("dim"), keepDim };
}

const reduction =
  (op: (x: Tensor, options: { dim?: number | number[]; keepDim: boolean }) => Tensor): Operation =>
  (inputs, attributes) =>
    op(inputs.get("x"), dims(attributes));

/** Over one axis with values and indices, or over all with the value alone. */
const extreme =
  (one: typeof t.max, all: typeof t.amax): Operation =>
  (inputs, attributes) => {
    const x = inputs.get("x");
    const { dim, keepDim } = dims(attributes);
    if (typeof dim !== "number") return all(x, { keepDim, ...(dim && { dim }) });
    const { values, indices } = one(x, dim, keepDim);
    return [values, indices];
  };

const loss =
  (
    op: (input: Tensor, target: Tensor, options: { reduction: nn.Reduction }, attributes: Attributes) => Tensor,
  ): Operation =>
  (inputs, attributes) => {
    const reduction = attributes.oneOf("reduction", ["mean", "sum", "none"]);
    return op(inputs.get("input"), inputs.get("target"), { reduction }, attributes);
  };

/** Pairs of numbers, e.g. `padding` [[before, after], ...]. */
function rows(attributes: Attributes, name: string): number[][] {
  const value = attributes.raw(name);
  const isRow = (row: unknown): row is number[] => Array.isArray(row) && row.every((item) => typeof item === "number");
  if (Array.isArray(value) && value.every(isRow)) return value;
  throw new Error(`${attributes.where}.${name} is not a list of lists of numbers`);
}

const pairs = (attributes: Attributes, name: string): [number, number][] =>
  rows(attributes, name).map((row) => {
    const [before, after] = row;
    if (row.length !== 2) throw new Error(`${attributes.where}.${name}: ${JSON.stringify(row)} is not a pair`);
    return [before!, after!];
  });

const matmul: Operation = (inputs, attributes) => {
  const operand = (name: "a" | "b"): Tensor =>
    attributes.boolean(`transpose_${name}`) ? t.transpose(inputs.get(name), -2, -1) : inputs.get(name);
  return t.matmul(operand("a"), operand("b"));
};

const conv2d: Operation = (inputs, attributes) => {
  const weight = inputs.get("weight");
  const bias = inputs.optional("bias");
  if (attributes.has("kernel") && attributes.pair("kernel").join() !== weight.shape.slice(2).join()) {
    throw new Error(`${attributes.where}: kernel [${attributes.raw("kernel")}] is not that of ${t.describe(weight)}`);
  }
  return t.conv2d(inputs.get("x"), weight, {
    ...(bias && { bias }),
    stride: attributes.pair("stride"),
    padding: attributes.pair("padding"),
    dilation: attributes.pair("dilation"),
    groups: attributes.number("groups"),
  });
};

/** Scale and shift of a normalisation, where they are there. */
function affine(inputs: Arguments): { weight?: Tensor; bias?: Tensor } {
  const weight = inputs.optional("weight");
  const bias = inputs.optional("bias");
  return { ...(weight && { weight }), ...(bias && { bias }) };
}

/** Normalised values and the running statistics after the call, by the engine's operation and the layer's update. */
const batchNorm: Operation = (inputs, attributes) => {
  const x = inputs.get("x");
  const options = { ...affine(inputs), eps: attributes.number("eps") };
  const mean = inputs.get("running_mean");
  const variance = inputs.get("running_var");
  if (!attributes.boolean("training")) {
    attributes.inform("momentum");
    return [t.batchNorm(x, { ...options, mean, variance }).y, mean, variance];
  }
  const momentum = attributes.number("momentum");
  const batch = t.batchNorm(x, options);
  const count = x.size / mean.size;
  const unbiased = t.mul(batch.variance, count / (count - 1));
  const track = (old: Tensor, now: Tensor): Tensor => t.add(t.mul(old, 1 - momentum), t.mul(now, momentum));
  return [batch.y, track(mean, batch.mean), track(variance, unbiased)];
};

const mask = (attributes: Attributes): { mask?: "causal" } =>
  attributes.oneOf("mask", ["none", "causal"]) === "causal" ? { mask: "causal" } : {};

const attention: Operation = (inputs, attributes) => {
  const bias = inputs.optional("bias");
  const options = { scale: attributes.number("scale"), ...mask(attributes), ...(bias && { bias }) };
  return t.attention(inputs.get("q"), inputs.get("k"), inputs.get("v"), options);
};

const multiheadAttention: Operation = (inputs, attributes) => {
  const x = inputs.get("x");
  const heads = attributes.number("num_heads");
  const [b = 0, n = 0, c = 0] = x.shape;
  const qkv = t.linear(x, inputs.get("in_proj_weight"), inputs.optional("in_proj_bias")); // (b, n, 3c)
  const [q, k, v] = t
    .chunk(qkv, 3, -1)
    .map((part) => t.permute(t.reshape(part, [b, n, heads, c / heads]), [0, 2, 1, 3])) as [Tensor, Tensor, Tensor];
  const perHead = t.attention(q, k, v, { scale: (c / heads) ** -0.5, ...mask(attributes) }); // (b, heads, n, d)
  const joined = t.reshape(t.permute(perHead, [0, 2, 1, 3]), [b, n, c]);
  return t.linear(joined, inputs.get("out_weight"), inputs.optional("out_bias"));
};

const clamp: Operation = (inputs, attributes) => {
  const min = attributes.optionalNumber("min");
  const max = attributes.optionalNumber("max");
  return t.clamp(inputs.get("x"), { ...(min !== undefined && { min }), ...(max !== undefined && { max }) });
};

const slice: Operation = (inputs, attributes) =>
  t.slice(
    inputs.get("x"),
    rows(attributes, "ranges").map(([start, stop, step = 1]) => [start!, stop!, step]),
  );

const pool =
  (op: typeof t.avgPool2d): Operation =>
  (inputs, attributes) =>
    op(inputs.get("x"), { kernel: attributes.pair("kernel"), stride: attributes.pair("stride") });

const argmax: Operation = (inputs, attributes) => {
  const dim = attributes.optionalNumber("dim");
  return t.argmax(inputs.get("x"), { ...(dim !== undefined && { dim }), keepDim: attributes.boolean("keepdim") });
};

/** Options of the operation `interpolate`, shared with the pipelines of the group `degradation`. */
export function interpolateOptions(attributes: Attributes): t.InterpolateOptions {
  attributes.assume("align_corners", false);
  const mode = attributes.oneOf("mode", ["area", "bilinear", "bicubic", "nearest"]);
  const cubicA = attributes.optionalNumber("cubic_a");
  const options = { mode, antialias: attributes.boolean("antialias"), ...(cubicA !== undefined && { cubicA }) };
  if (attributes.has("size")) {
    if (attributes.has("scale_factor"))
      throw new Error(`${attributes.where}: size and scale_factor exclude each other`);
    return { ...options, size: attributes.pair("size") };
  }
  const scale = attributes.raw("scale_factor");
  return {
    ...options,
    scaleFactor: Array.isArray(scale) ? attributes.pair("scale_factor") : attributes.number("scale_factor"),
  };
}

/** All operations by the name that `op` of a case gives. */
export const OPERATIONS: Readonly<Record<string, Operation>> = {
  matmul,
  linear: (inputs) => t.linear(inputs.get("x"), inputs.get("weight"), inputs.optional("bias")),
  conv2d,
  layer_norm: (inputs, attributes) =>
    t.layerNorm(inputs.get("x"), {
      ...affine(inputs),
      eps: attributes.number("eps"),
      normalizedShape: attributes.numbers("normalized_shape"),
    }),
  batch_norm: batchNorm,
  l2_normalize: (inputs, attributes) =>
    t.l2Normalize(inputs.get("x"), { dim: attributes.number("dim"), eps: attributes.number("eps") }),
  softmax: (inputs, attributes) => t.softmax(inputs.get("x"), attributes.number("dim")),
  log_softmax: (inputs, attributes) => t.logSoftmax(inputs.get("x"), attributes.number("dim")),
  cross_entropy: (inputs, attributes) =>
    nn.crossEntropy(inputs.get("x"), inputs.get("target"), {
      reduction: attributes.oneOf("reduction", ["mean", "sum", "none"]),
      labelSmoothing: attributes.number("label_smoothing"),
    }),
  attention,
  multihead_attention: multiheadAttention,
  gelu: unary(t.gelu),
  quick_gelu: unary(t.quickGelu),
  relu: unary(t.relu),
  sigmoid: unary(t.sigmoid),
  log_sigmoid: unary(t.logSigmoid),
  tanh: unary(t.tanh),
  exp: unary(t.exp),
  log: unary(t.log),
  sqrt: unary(t.sqrt),
  rsqrt: unary(t.rsqrt),
  erf: unary(t.erf),
  abs: unary(t.abs),
  round: unary(t.round),
  floor: unary(t.floor),
  leaky_relu: (inputs, attributes) => t.leakyRelu(inputs.get("x"), attributes.number("negative_slope")),
  pow: (inputs, attributes) => t.pow(inputs.get("x"), attributes.number("exponent")),
  clamp,
  add: binary(t.add),
  sub: binary(t.sub),
  mul: binary(t.mul),
  div: binary(t.div),
  minimum: binary(t.minimum),
  maximum: binary(t.maximum),
  where: (inputs) => t.where(inputs.get("condition"), inputs.get("a"), inputs.get("b")),
  sum: reduction(t.sum),
  mean: reduction(t.mean),
  var: (inputs, attributes) =>
    t.variance(inputs.get("x"), { ...dims(attributes), unbiased: attributes.boolean("unbiased") }),
  l2_norm: reduction(t.l2Norm),
  max: extreme(t.max, t.amax),
  min: extreme(t.min, t.amin),
  argmax,
  embedding: (inputs) => t.embedding(inputs.get("weight"), inputs.get("index")),
  gather: (inputs, attributes) => t.gather(inputs.get("x"), attributes.number("dim"), inputs.get("index")),
  pick: (inputs) => t.pick(inputs.get("x"), inputs.get("index")),
  roll: (inputs, attributes) => t.roll(inputs.get("x"), attributes.numbers("shifts"), attributes.numbers("dims")),
  pad: (inputs, attributes) =>
    t.pad(inputs.get("x"), pairs(attributes, "padding"), {
      mode: attributes.oneOf("mode", ["constant", "reflect"]),
      value: attributes.optionalNumber("value") ?? 0,
    }),
  permute: (inputs, attributes) => t.permute(inputs.get("x"), attributes.numbers("dims")),
  permute_reshape: (inputs, attributes) =>
    t.reshape(t.permute(inputs.get("x"), attributes.numbers("dims")), attributes.numbers("shape")),
  cat: (inputs, attributes) => t.cat(inputs.all(), attributes.number("dim")),
  stack: (inputs, attributes) => t.stack(inputs.all(), attributes.number("dim")),
  split: (inputs, attributes) => t.split(inputs.get("x"), attributes.numbers("sizes"), attributes.number("dim")),
  chunk: (inputs, attributes) => t.chunk(inputs.get("x"), attributes.number("chunks"), attributes.number("dim")),
  slice,
  repeat: (inputs, attributes) => t.repeat(inputs.get("x"), attributes.numbers("repeats")),
  expand: (inputs, attributes) => t.expand(inputs.get("x"), attributes.numbers("sizes")),
  flip: (inputs, attributes) => t.flip(inputs.get("x"), attributes.numbers("dims")),
  pixel_shuffle: (inputs, attributes) => t.pixelShuffle(inputs.get("x"), attributes.number("factor")),
  pixel_unshuffle: (inputs, attributes) => t.pixelUnshuffle(inputs.get("x"), attributes.number("factor")),
  adaptive_avg_pool2d: (inputs, attributes) => t.adaptiveAvgPool2d(inputs.get("x"), attributes.pair("output_size")),
  avg_pool2d: pool(t.avgPool2d),
  max_pool2d: pool(t.maxPool2d),
  interpolate: (inputs, attributes) => t.interpolate(inputs.get("x"), interpolateOptions(attributes)),
  l1_loss: loss(nn.l1Loss),
  mse_loss: loss(nn.mseLoss),
  smooth_l1_loss: loss((input, target, options, attributes) =>
    nn.smoothL1Loss(input, target, { ...options, beta: attributes.number("beta") }),
  ),
  charbonnier_loss: loss((input, target, options, attributes) =>
    nn.charbonnierLoss(input, target, { ...options, eps: attributes.number("eps") }),
  ),
  bce_with_logits: loss(nn.bceWithLogits),
};
