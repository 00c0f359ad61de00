import * as T from "../../src/index.ts";

/** An op of floats, by the shapes of its operands; each has a gradient. */
type Differentiable = readonly [shapes: readonly (readonly number[])[], op: (...x: T.Tensor[]) => T.Tensor];

const image = [1, 2, 4, 6];
const matrix = [3, 8];
const index = (x: T.Tensor, ...rows: number[]): T.Tensor => x.device.tensor(Int32Array.from(rows));
/** Whose numbers are on the device only. */
const computed = (x: T.Tensor, ...rows: number[]): T.Tensor => T.cast(x.device.tensor(rows), "i32");
const unary = (op: (x: T.Tensor) => T.Tensor): Differentiable => [[matrix], op as Differentiable[1]];
const binary = (op: (a: T.Tensor, b: T.Tensor) => T.Tensor): Differentiable => [[matrix, [8]], op as Differentiable[1]];

/** One of each family of gradients. */
export const differentiable: Readonly<Record<string, Differentiable>> = {
  add: binary(T.add),
  mul: binary(T.mul),
  div: binary((a, b) => T.div(a, T.add(T.square(b), 1))),
  maximum: binary(T.maximum),
  where: binary((a, b) => T.where(T.gt(a, 0), a, b)),
  "mul beside f32": unary((x) => T.mul(x, x.device.full([3, 8], 0.75))),
  exp: unary(T.exp),
  sqrt: unary((x) => T.sqrt(T.add(T.square(x), 1))),
  tanh: unary(T.tanh),
  gelu: unary(T.gelu),
  silu: unary(T.silu),
  logSigmoid: unary(T.logSigmoid),
  clamp: unary((x) => T.clamp(x, { min: -0.5, max: 0.5 })),
  pow: unary((x) => T.pow(x, 3)),
  "used twice": unary((x) => T.add(T.mul(x, 2), T.square(x))),
  sum: unary((x) => T.sum(x, { dim: 1 })),
  mean: unary((x) => T.mean(x, { dim: 0 })),
  variance: unary((x) => T.variance(x, { dim: 1 })),
  l2Norm: unary((x) => T.l2Norm(x, { dim: 1 })),
  l2Normalize: unary((x) => T.l2Normalize(x)),
  logSumExp: unary((x) => T.logSumExp(x, { dim: 1 })),
  amax: unary((x) => T.amax(x, { dim: 1 })),
  amin: unary((x) => T.amin(x, { dim: 0 })),
  max: unary((x) => T.max(x, 1).values),
  softmax: unary((x) => T.softmax(x, -1)),
  logSoftmax: unary((x) => T.logSoftmax(x, 0)),
  layerNorm: [[matrix, [8], [8]], (x, weight, bias) => T.layerNorm(x!, { weight: weight!, bias: bias! })],
  normMlp: [[matrix, [4, 8], [4]], (x, weight, bias) => T.normMlp(x!, [{ weight: weight!, bias: bias! }])],
  batchNorm: [[matrix, [8], [8]], (x, weight, bias) => T.batchNorm(x!, { weight: weight!, bias: bias! }).y],
  matmul: [[matrix, [8, 4]], (a, b) => T.matmul(a!, b!)],
  "matmul with a row": [[[8], [8, 4]], (a, b) => T.matmul(a!, b!)],
  linear: [[matrix, [4, 8], [4]], (x, weight, bias) => T.linear(x!, weight!, bias!)],
  channelLinear: [[[2, 8, 3], [4, 8], [4]], (x, weight, bias) => T.channelLinear(x!, weight!, bias!)],
  conv2d: [
    [image, [3, 2, 3, 3], [3]],
    (x, weight, bias) => T.conv2d(x!, weight!, { bias: bias!, padding: 1, stride: 2 }),
  ],
  attention: [[matrix, [5, 8], [5, 2]], (q, k, v) => T.attention(q!, k!, v!)],
  maxPool2d: [[image], (x) => T.maxPool2d(x!, { kernel: 2 })],
  avgPool2d: [[image], (x) => T.avgPool2d(x!, { kernel: 2 })],
  interpolate: [[image], (x) => T.interpolate(x!, { mode: "bicubic", scaleFactor: 2 })],
  indexSelect: unary((x) => T.indexSelect(x, 0, index(x, 2, 0, 2))),
  "indexSelect by the device": unary((x) => T.indexSelect(x, 0, computed(x, 2, 0, 2))),
  embedding: unary((x) => T.embedding(x, index(x, 1, 1, 0))),
  gather: unary((x) => T.gather(x, 1, T.reshape(index(x, 1, 2, 2), [3, 1]))),
  pick: unary((x) => T.pick(x, index(x, 7, 0, 3))),
  transpose: unary((x) => T.transpose(x, 0, 1)),
  slice: unary((x) => T.slice(x, [null, [1, 8, 3]])),
  expand: unary((x) => T.expand(x, [2, 3, 8])),
  flip: unary((x) => T.flip(x, 1)),
  clone: unary(T.clone),
  cat: binary((a, b) => T.cat([a, T.reshape(b, [1, 8])], 0)),
  pad: unary((x) =>
    T.pad(x, [
      [1, 1],
      [0, 2],
    ]),
  ),
  roll: unary((x) => T.roll(x, 1, 1)),
  split: unary((x) => {
    const [a, b] = T.split(x, 4, 1);
    return T.add(T.mul(a!, 2), b!);
  }),
  pixelShuffle: [[[4, 2, 3]], (x) => T.pixelShuffle(x!, 2)],
  cast: unary((x) => T.cast(T.mul(T.cast(x, "f32"), 3), x.dtype)),
  dropout: unary((x) => T.dropout(x, { p: 0.5, rng: new T.Rng(3) })),
  checkpoint: unary((x) => T.checkpoint((x) => T.gelu(T.mul(x!, 2)), x)),
};
