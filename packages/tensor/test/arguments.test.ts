import { describe, expect, it } from "vitest";
import * as T from "../src/index.ts";
import * as ops from "../src/ops/index.ts";
import { testDevice } from "../src/testing.ts";

const gpu = await testDevice();
const rng = new T.Rng(1);
const x = gpu.ones([2, 3]);
const image = gpu.ones([1, 2, 4, 4]);
const weight = gpu.ones([2, 2, 3, 3]);
const index = gpu.tensor(Int32Array.of(0, 1));
const seven = gpu.tensor(Int32Array.of(0, 7));
const taps = T.interpolationTaps(3, 5, { mode: "bilinear" });
const loss = T.sum(T.requireGrad(gpu.ones([2])));
const adam = {
  ...{ param: gpu.ones([2]), grad: gpu.ones([2]), expAvg: gpu.ones([2]), expAvgSq: gpu.ones([2]), step: 1 },
  ...{ lr: 1, beta1: 0.9, beta2: 0.9, eps: 1e-8, weightDecay: 0, decoupled: false },
};

/** Wrong values by the kind of argument that they are given for. */
const WRONG = {
  tensor: [undefined, null, "x", 3, {}, [1, 2]],
  operand: [undefined, null, "2", true, 1n, {}],
  tensors: [undefined, null, 3, x, [x, undefined], [x, 3]],
  dim: [1.5, Number.NaN, 9, -9, "0", null, {}],
  dims: [1.5, Number.NaN, 9, -9, "0", [0, 0], [0, -2], [0, 9], { 0: 0 }],
  whole: [1.5, Number.NaN, Number.POSITIVE_INFINITY, "1", null, undefined, {}],
  count: [0, -1, 1.5, Number.NaN, 2 ** 53, "1", null, undefined],
  wholes: [undefined, null, "12", 3, [1.5, 1], [Number.NaN, 1], ["1", 1], [null, 1]],
  shape: [undefined, null, 6, "6", {}, [1.5], [Number.NaN], [-2], ["6"], [2 ** 40, 2 ** 40], [null]],
  pair: [0, -1, 1.5, Number.NaN, "1", [1], [1, 2, 3], [1, 0.5], null, {}],
  padding: [-1, 1.5, Number.NaN, "same", [1], [1, 2, 3], null],
  number: [Number.NaN, "1", null, {}],
  positive: [-1, Number.NaN, "1", null],
  probability: [-0.1, 1.1, Number.NaN, "0.5", null, undefined],
  flag: [1, "true", null],
  options: [null, 3, "mean", gpu, { paddding: 1 }],
  required: [undefined, null, "mean", { paddding: 1 }],
  dtype: ["float32", "int", 32, null],
  rng: [undefined, null, 3, {}, Math.random],
  device: [undefined, null, "cpu", {}],
  text: [undefined, null, 3],
} as const;

interface Case {
  readonly args: readonly unknown[];
  /** By the name of an argument: its place, perhaps a key of the options there, and its kind. */
  readonly wrong: Readonly<Record<string, readonly [place: number, kind: keyof typeof WRONG | readonly unknown[]]>>;
}

/** What both poolings take. */
const POOLING: Case["wrong"] = {
  x: [0, "tensor"],
  options: [1, [...WRONG.required, 2]],
  "options.kernel": [1, "pair"],
  "options.stride": [1, WRONG.pair.slice(0, -2)],
  "options.padding": [1, [-1, 1.5, "1", 2]],
};
const unary: Case = { args: [x], wrong: { x: [0, "tensor"] } };
const binary: Case = { args: [x, x], wrong: { a: [0, "operand"], b: [1, "operand"] } };
const truths: Case = binary;
const unaries = [
  ..."relu gelu quickGelu silu sigmoid logSigmoid softplus tanh neg abs exp log sqrt rsqrt square reciprocal sin cos erf".split(
    " ",
  ),
  ..."round floor ceil sign logicalNot isNan isFinite contiguous clone countDistinct".split(" "),
];
const binaries = "add sub mul div maximum minimum eq ne lt le gt ge".split(" ");

/** A reduction takes options, or a dim and whether to keep it. */
function reduction(dim: keyof typeof WRONG = "dims"): Case {
  const wrong: Case["wrong"] = {
    ...{ x: [0, "tensor"], dim: [1, WRONG[dim].filter((each) => each === Number(each) || Array.isArray(each))] },
    ...{
      options: [1, [null, "1", { dims: 1 }, { keepdim: true }]],
      "options.dim": [1, dim],
      "options.keepDim": [1, "flag"],
    },
    keepDim: [2, "flag"],
  };
  return { args: [x, {}], wrong };
}

const CASES: Readonly<Record<string, Case>> = {
  ...Object.fromEntries(unaries.map((name) => [name, unary])),
  ...Object.fromEntries(binaries.map((name) => [name, binary])),
  logicalAnd: truths,
  logicalOr: truths,
  where: { args: [x, x, 0], wrong: { condition: [0, "operand"], a: [1, "operand"], b: [2, "operand"] } },
  leakyRelu: { args: [x, 0.1], wrong: { x: [0, "operand"], negativeSlope: [1, "operand"] } },
  pow: { args: [x, 2], wrong: { x: [0, "tensor"], exponent: [1, [undefined, null, "2", x]] } },
  cast: { args: [x, "i32"], wrong: { x: [0, "tensor"], dtype: [1, [...WRONG.dtype, undefined]] } },
  clamp: {
    args: [x, { min: 0 }],
    wrong: {
      x: [0, "tensor"],
      options: [1, [...WRONG.required, 0, {}]],
      "options.min": [1, ["1", null, {}]],
      "options.max": [1, ["1", null, {}]],
    },
  },
  assign: { args: [gpu.ones([2]), gpu.ones([2])], wrong: { target: [0, "tensor"], value: [1, "tensor"] } },
  checkFinite: { args: [x, "here"], wrong: { x: [0, "tensor"], where: [1, "text"] } },
  attention: {
    args: [x, x, x, {}],
    wrong: {
      ...{ q: [0, "tensor"], k: [1, "tensor"], v: [2, [...WRONG.tensor, gpu.ones([5, 3])]], options: [3, "options"] },
      ...{ "options.scale": [3, "number"], "options.bias": [3, ["x", 3, null]] },
      "options.mask": [3, ["casual", 3, null]],
    },
  },
  attentionWeights: {
    args: [x, x, {}],
    wrong: {
      q: [0, "tensor"],
      k: [1, [...WRONG.tensor, gpu.ones([2, 5])]],
      options: [2, "options"],
      "options.scale": [2, "number"],
    },
  },
  conv2d: {
    args: [image, weight, {}],
    wrong: {
      ...{ x: [0, "tensor"], weight: [1, [...WRONG.tensor, gpu.ones([2, 2, 0, 3])]], options: [2, "options"] },
      ...{ "options.stride": [2, "pair"], "options.padding": [2, "padding"], "options.dilation": [2, "pair"] },
      ...{
        "options.groups": [2, [0, -1, 1.5, Number.NaN, "1", null]],
        "options.bias": [2, ["x", 3, true, gpu.ones([3])]],
      },
    },
  },
  poolGeometry: {
    args: ["poolGeometry", image, { kernel: 2 }],
    wrong: { x: [1, "tensor"], "options.kernel": [2, "pair"] },
  },
  maxPool2d: {
    args: [image, { kernel: 2 }],
    wrong: { ...POOLING, "options.ceilMode": [1, "flag"] },
  },
  avgPool2d: {
    args: [image, { kernel: 2 }],
    wrong: { ...POOLING, "options.countIncludePad": [1, "flag"] },
  },
  adaptiveAvgPool2d: {
    args: [image, 2],
    wrong: { x: [0, [...WRONG.tensor, x]], size: [1, [...WRONG.pair, undefined]] },
  },
  pointwise: {
    args: ["f", (a: unknown) => a, {}],
    wrong: { name: [0, "text"], formula: [1, [undefined, null, "x"]], options: [2, "options"] },
  },
  embedding: { args: [x, index], wrong: { weight: [0, "tensor"], index: [1, [...WRONG.tensor, seven, x]] } },
  indexSelect: {
    args: [x, 0, index],
    wrong: { x: [0, "tensor"], dim: [1, "dim"], index: [2, [...WRONG.tensor, seven, x]] },
  },
  gather: {
    args: [x, 0, gpu.tensor(Int32Array.of(0), [1, 1])],
    wrong: {
      x: [0, "tensor"],
      dim: [1, "dim"],
      index: [2, [...WRONG.tensor, index, gpu.tensor(Int32Array.of(9), [1, 1])]],
    },
  },
  pick: { args: [x, index], wrong: { x: [0, "tensor"], index: [1, [...WRONG.tensor, seven, x]] } },
  catEach: {
    args: [[() => x, () => x], 0],
    wrong: { parts: [0, [undefined, null, 3, x, [], [x], [() => 3]]], dim: [1, [...WRONG.dim, undefined]] },
  },
  cat: { args: [[x, x], 0], wrong: { tensors: [0, [...WRONG.tensors, []]], dim: [1, [...WRONG.dim, undefined]] } },
  stack: { args: [[x, x], 0], wrong: { tensors: [0, [...WRONG.tensors, []]], dim: [1, "dim"] } },
  split: {
    args: [x, 1, 0],
    wrong: {
      x: [0, "tensor"],
      sizes: [1, [0, -1, 1.5, Number.NaN, "1", null, [1.5, 0.5], [-1, 3], [1]]],
      dim: [2, "dim"],
    },
  },
  chunk: { args: [x, 2, 0], wrong: { x: [0, "tensor"], chunks: [1, "count"], dim: [2, "dim"] } },
  pad: {
    args: [
      x,
      [
        [1, 1],
        [1, 1],
      ],
      {},
    ],
    wrong: {
      x: [0, "tensor"],
      padding: [
        1,
        [
          undefined,
          null,
          1,
          [1, 1],
          [[1, 1]],
          [[1], [1]],
          [
            [0.5, 0],
            [0, 0],
          ],
          [
            [Number.NaN, 0],
            [0, 0],
          ],
          [
            [-2, -1],
            [0, 0],
          ],
        ],
      ],
      ...{
        options: [2, "options"],
        "options.mode": [2, ["replicate", "circular", 3, null]],
        "options.value": [2, ["1", null, {}]],
      },
    },
  },
  roll: {
    args: [x, 1, 0],
    wrong: { x: [0, "tensor"], shifts: [1, "whole"], dim: [2, [9, -9, 0.5, Number.NaN, "0", [0.5], undefined]] },
  },
  repeat: { args: [x, [1, 1]], wrong: { x: [0, "tensor"], repeats: [1, [...WRONG.wholes, [-1, 1], [1]]] } },
  matmul: { args: [x, gpu.ones([3, 2])], wrong: { a: [0, "tensor"], b: [1, "tensor"] } },
  linear: {
    args: [x, gpu.ones([4, 3])],
    wrong: { x: [0, [...WRONG.tensor, gpu.ones([])]], weight: [1, "tensor"], bias: [2, [3, "x", {}, gpu.ones([3])]] },
  },
  channelLinear: {
    args: [gpu.ones([2, 3, 5]), gpu.ones([4, 3])],
    wrong: { x: [0, [...WRONG.tensor, gpu.ones([])]], weight: [1, "tensor"], bias: [2, [3, "x", {}, gpu.ones([3])]] },
  },
  layerNorm: {
    args: [x, {}],
    wrong: {
      ...{
        x: [0, "tensor"],
        options: [1, [...WRONG.options, [3]]],
        "options.weight": [1, ["x", 3, null, gpu.ones([2])]],
      },
      ...{
        "options.bias": [1, ["x", 3, null]],
        "options.eps": [1, "positive"],
        "options.normalizedShape": [1, ["3", 3, [1.5], null]],
      },
    },
  },
  normMlp: {
    args: [x, [{ weight: gpu.ones([4, 3]), bias: gpu.ones([4]) }], {}],
    wrong: {
      ...{ x: [0, "tensor"], options: [2, "options"], "options.eps": [2, "positive"] },
      layers: [1, [3, "x", {}, null, [], [3], [null], [{ weight: x, bias: 3 }], [{ weight: "x", bias: x }]]],
    },
  },
  batchNorm: {
    args: [x, {}],
    wrong: {
      ...{ x: [0, "tensor"], options: [1, "options"], "options.weight": [1, ["x", 3, null, gpu.ones([2])]] },
      ...{ "options.bias": [1, ["x", 3]], "options.mean": [1, ["x", x]], "options.eps": [1, "positive"] },
      "options.running": [1, [3, "x", {}, null, gpu.ones([3])]],
      "options.exchange": [1, [3, "x", {}, null, { allGather: async () => [] }]],
    },
  },
  hostCall: {
    args: [x, [2], { now: () => new Float32Array(2), later: async () => new Float32Array(2) }],
    wrong: {
      ...{ x: [0, [...WRONG.tensor, gpu.ones([0]), gpu.ones([2], { dtype: "i32" })]], shape: [1, WRONG.shape] },
      work: [2, [undefined, null, 3, {}, () => x, { now: () => x }, { later: async () => x }]],
    },
  },
  l2Normalize: {
    args: [x, {}],
    wrong: {
      x: [0, "tensor"],
      dim: [1, [1.5, 9, [0, 0]]],
      options: [1, [null, "1", { dims: 1 }]],
      "options.dim": [1, "dims"],
      "options.eps": [1, "positive"],
    },
  },
  adamStep: {
    args: [adam],
    wrong: {
      ...{
        options: [0, "required"],
        "options.param": [0, "tensor"],
        "options.grad": [0, "tensor"],
        "options.expAvg": [0, "tensor"],
      },
      ...{
        "options.lr": [0, "positive"],
        "options.beta1": [0, [...WRONG.positive, 1]],
        "options.eps": [0, "positive"],
      },
      ...{
        "options.weightDecay": [0, "positive"],
        "options.decoupled": [0, "flag"],
        "options.step": [0, [0, -1, 1.5, Number.NaN]],
      },
    },
  },
  assignTogether: { args: [[[gpu.ones([2]), gpu.ones([2])]]], wrong: { writes: [0, [undefined, null, 3, x]] } },
  adamSteps: { args: [[adam]], wrong: { updates: [0, [undefined, null, 3, x, adam]] } },
  zeroMoments: { args: [[x]], wrong: { params: [0, "tensors"] } },
  layTogether: { args: [[x]], wrong: { params: [0, "tensors"] } },
  randBits: { args: [gpu, [2], rng], wrong: { device: [0, "device"], shape: [1, "shape"], rng: [2, "rng"] } },
  rand: { args: [gpu, [2], rng], wrong: { device: [0, "device"], shape: [1, "shape"], rng: [2, "rng"] } },
  randn: { args: [gpu, [2], rng], wrong: { device: [0, "device"], shape: [1, "shape"], rng: [2, "rng"] } },
  poisson: { args: [x, rng], wrong: { rate: [0, "tensor"], rng: [1, "rng"] } },
  bernoulli: {
    args: [gpu, [2], 0.5, rng],
    wrong: { device: [0, "device"], shape: [1, "shape"], probability: [2, "probability"], rng: [3, "rng"] },
  },
  dropout: {
    args: [x, { p: 0.5, rng }],
    wrong: {
      x: [0, "tensor"],
      options: [1, "required"],
      probability: [1, [{ p: 2, rng }, { p: "0.5", rng }, { rng }]],
      "options.rng": [1, "rng"],
    },
  },
  rearrange: {
    args: [x, "a b -> b a", {}],
    wrong: {
      ...{ x: [0, "tensor"], pattern: [1, "text"], sizes: [2, [null, 3]] },
      "a b": [2, [{ c: 1 }]],
      size: [2, [{ a: 1.5 }, { a: -1 }, { a: Number.NaN }, { a: "2" }]],
      "->": [1, ["a b", "a b -> a", "a a -> a", "a b -> b a c", "(a b -> a b"]],
    },
  },
  pixelShuffle: {
    args: [gpu.ones([4, 2, 2]), 2],
    wrong: { x: [0, "tensor"], factor: [1, [0, -1, 1.5, Number.NaN, "2", null, undefined]] },
  },
  pixelUnshuffle: {
    args: [gpu.ones([4, 2, 2]), 2],
    wrong: { x: [0, "tensor"], factor: [1, [0, -1, 1.5, Number.NaN, "2", null, undefined]] },
  },
  sum: reduction(),
  mean: reduction(),
  variance: reduction(),
  l2Norm: reduction(),
  amax: reduction(),
  amin: reduction(),
  logSumExp: reduction(),
  argmax: reduction("dim"),
  max: { args: [x, 1], wrong: { x: [0, "tensor"], dim: [1, [...WRONG.dim, undefined]], keepDim: [2, "flag"] } },
  min: { args: [x, 1], wrong: { x: [0, "tensor"], dim: [1, [...WRONG.dim, undefined]], keepDim: [2, "flag"] } },
  interpolationTaps: {
    args: [3, 5, { mode: "bilinear" }],
    wrong: {
      ...{
        inSize: [0, "count"],
        outSize: [1, "count"],
        options: [2, "required"],
        "options.mode": [2, ["linear", 3, null, undefined]],
      },
      ...{
        "options.step": [2, [0, -1, Number.NaN, Number.POSITIVE_INFINITY, null]],
        "options.antialias": [2, "flag"],
        "options.cubicA": [2, "number"],
      },
    },
  },
  resampleAxis: {
    args: [x, 1, taps],
    wrong: { x: [0, "tensor"], dim: [1, "dim"], taps: [2, [undefined, null, {}, [1]]] },
  },
  interpolate: {
    args: [image, { mode: "bilinear", size: 3 }],
    wrong: {
      ...{
        x: [0, [...WRONG.tensor]],
        options: [1, [...WRONG.required, 3]],
        "options.mode": [1, ["linear", 3, null, undefined]],
      },
      ...{
        "options.size": [1, [...WRONG.pair, undefined]],
        "options.antialias": [1, "flag"],
        "options.cubicA": [1, "number"],
      },
      scaleFactor: [
        1,
        [0, -1, Number.NaN, Number.POSITIVE_INFINITY, "2", [2], null].map((scaleFactor) => ({
          mode: "bilinear",
          scaleFactor,
        })),
      ],
    },
  },
  softmax: { args: [x, 1], wrong: { x: [0, "tensor"], dim: [1, [...WRONG.dim, undefined]] } },
  logSoftmax: { args: [x, 1], wrong: { x: [0, "tensor"], dim: [1, [...WRONG.dim, undefined]] } },
  reshape: {
    args: [x, [3, 2]],
    wrong: {
      x: [0, "tensor"],
      shape: [1, [undefined, null, 6, "6", [1.5, 4], [Number.NaN], [-2, -3], ["6"]]],
      "[": [1, [[-1, -1], [4], [-1, 4]]],
    },
  },
  permute: {
    args: [x, [1, 0]],
    wrong: { x: [0, "tensor"], dim: [1, [...WRONG.wholes, [0, 0], [0], [0, 9], [0, -9]]] },
  },
  transpose: {
    args: [x, 0, 1],
    wrong: { x: [0, "tensor"], dim: [1, "dim"], "no dim": [2, [...WRONG.dim, undefined]] },
  },
  slice: {
    args: [x, [[0, 1]]],
    wrong: {
      x: [0, "tensor"],
      range: [
        1,
        [
          undefined,
          null,
          3,
          [3],
          [[1]],
          [[0.5, 2.5]],
          [[0, Number.NaN]],
          [["0", 1]],
          [[0, 1, 0]],
          [[0, 1, -1]],
          [[0, 1, 1.5]],
          [null, null, null],
        ],
      ],
    },
  },
  narrow: {
    args: [x, 1, 0, 1],
    wrong: {
      x: [0, "tensor"],
      dim: [1, "dim"],
      start: [2, "whole"],
      length: [3, "whole"],
      narrow: [3, [-1, 4, 2 ** 40]],
    },
  },
  select: { args: [x, 1, 0], wrong: { x: [0, "tensor"], dim: [1, "dim"], index: [2, [...WRONG.whole, 3, -4]] } },
  expand: {
    args: [x, [4, 2, 3]],
    wrong: {
      x: [0, "tensor"],
      shape: [1, [...WRONG.wholes, [-2, 2, 3], [2 ** 30, 2 ** 30, 2, 3]]],
      "[": [1, [[2], [2, 4]]],
    },
  },
  squeeze: { args: [gpu.ones([1, 2])], wrong: { x: [0, "tensor"], dim: [1, [...WRONG.dim, 1]] } },
  unsqueeze: { args: [x, 0], wrong: { x: [0, "tensor"], dim: [1, [...WRONG.dim, undefined]] } },
  flatten: { args: [x, 0, 1], wrong: { x: [0, "tensor"], dim: [1, "dim"], "no dim": [2, "dim"] } },
  flip: { args: [x, 0], wrong: { x: [0, "tensor"], dim: [1, "dims"] } },
};

/** Not of the ops, but called as they are. */
const OTHERS: Readonly<Record<string, readonly [(...args: never[]) => unknown, Case]>> = {
  tensor: [
    gpu.tensor.bind(gpu),
    {
      args: [[1, 2]],
      wrong: {
        data: [
          0,
          [
            undefined,
            null,
            "1",
            {},
            new Map(),
            BigInt64Array.of(1n),
            ["1"],
            [null],
            [[1, 2], [3]],
            [[1], 2],
            [1, [2]],
            [
              [1, 2],
              [3, [4]],
            ],
            [[], [1]],
          ],
        ],
        shape: [1, [2, "2", { dtype: "i32" }, [1.5], [-1], [Number.NaN]]],
        "[": [1, [[3], [2, 2]]],
        ...{ options: [2, "options"], "options.dtype": [2, "dtype"] },
      },
    },
  ],
  zeros: [
    gpu.zeros.bind(gpu),
    { args: [[2], {}], wrong: { shape: [0, "shape"], options: [1, "options"], "options.dtype": [1, "dtype"] } },
  ],
  ones: [
    gpu.ones.bind(gpu),
    { args: [[2], {}], wrong: { shape: [0, "shape"], options: [1, "options"], "options.dtype": [1, "dtype"] } },
  ],
  full: [
    gpu.full.bind(gpu),
    {
      args: [[2], 1, {}],
      wrong: {
        shape: [0, "shape"],
        value: [1, [undefined, null, "1", x]],
        options: [2, "options"],
        "options.dtype": [2, "dtype"],
      },
    },
  ],
  arange: [
    gpu.arange.bind(gpu),
    {
      args: [2, {}],
      wrong: { count: [0, [-1, 1.5, Number.NaN, 2 ** 31, "2", null, undefined, [2]]], options: [1, "options"] },
    },
  ],
  "Device.request": [
    T.Device.request,
    {
      args: [{}],
      wrong: {
        options: [0, [null, "cpu", { device: "cpu" }]],
        "options.threads": [0, [-1, 1.5, Number.NaN, "2", null]],
        "options.simd": [0, [64, "128", null]],
      },
    },
  ],
  scope: [T.scope, { args: [() => 0], wrong: { work: [0, [undefined, null, 3, x]] } }],
  noGrad: [T.noGrad, { args: [() => 0], wrong: { work: [0, [undefined, null, 3, x]] } }],
  keep: [T.keep, { args: [x], wrong: { tensor: [0, "tensor"] } }],
  detach: [T.detach, unary],
  freeze: [T.freeze, unary],
  requireGrad: [T.requireGrad, unary],
  checkpoint: [
    T.checkpoint,
    { args: [(y: T.Tensor) => T.neg(y), x], wrong: { work: [0, [undefined, null, x]], inputs: [1, "tensor"] } },
  ],
  backward: [
    T.backward as (...args: never[]) => unknown,
    {
      args: [loss, {}],
      wrong: {
        ...{ y: [0, "tensor"], options: [1, "options"], "options.wrt": [1, [3, x, [3], [undefined]]] },
        ...{ "options.grad": [1, ["x", 3, null, gpu.ones([2])]], "options.retainGraph": [1, "flag"] },
        "options.onGradient": [1, [null, 3, "x", x]],
      },
    },
  ],
};

/** Sets one argument, or one key of an object of them. */
function changed(args: readonly unknown[], name: string, place: number, value: unknown): unknown[] {
  const [, key] = name.split("options.");
  const result = Array.from({ length: Math.max(args.length, place + 1) }, (_, i) => args[i]);
  result[place] = key ? { ...(args[place] as object), [key]: value } : value;
  return result;
}

async function misuses(op: string, call: (...args: unknown[]) => unknown, { args, wrong }: Case): Promise<void> {
  for (const [name, [place, kind]] of Object.entries(wrong)) {
    const values: readonly unknown[] = typeof kind === "string" ? WRONG[kind as keyof typeof WRONG] : kind;
    for (const value of values) {
      const before = gpu.memory();
      const what = `${op}: ${name} = ${T.shown(value)}`;
      let error: unknown;
      try {
        const result = await call(...changed(args, name, place, value));
        error = `was accepted, gave ${T.shown(result)}`;
      } catch (thrown) {
        error = thrown;
      }
      const { message } = error instanceof Error ? error : { message: `${error}` };
      const classes = [T.ArgumentError, T.ShapeError, T.DTypeError, RangeError, T.DeviceError];
      expect(classes.some((each) => error instanceof each) ? "one of ours" : `${error}`, what).toBe("one of ours");
      expect(message, what).toMatch(/^[^\n]+$/);
      expect(message.startsWith(`${op}: `), `${what}: ${message}`).toBe(true);
      const label = name
        .replace("options.", "")
        .replace("options", value === undefined || value === null ? "options" : "option");
      expect(message, what).toContain(label);
      expect(gpu.memory(), what).toEqual(before);
    }
  }
}

describe("a wrong argument is refused in one line, before anything runs", () => {
  it.each(Object.entries(CASES))("%s", async (op, test) => {
    const call = (ops as unknown as Record<string, (...args: unknown[]) => unknown>)[op]!;
    await gpu.sync();
    await misuses(op, call, test);
    await call(...test.args);
    expect(await T.add(x, x).data()).toEqual(Float32Array.of(2, 2, 2, 2, 2, 2));
  });

  it.each(Object.entries(OTHERS))("%s", async (op, [call, test]) => {
    await misuses(op, call as (...args: unknown[]) => unknown, test);
  });

  it("of every op", () => {
    // `pair` and `checkPair` are what the checks are made of.
    const untested = Object.entries(ops).filter(([name, op]) => typeof op === "function" && !CASES[name]);
    expect(untested.map(([name]) => name)).toEqual(["pair", "checkPair"].filter((name) => name in ops));
  });
});

describe("what PyTorch takes is taken", () => {
  it("nested arrays, with their shape", async () => {
    const nested = gpu.tensor([
      [[1, 2, 3], Float32Array.of(4, 5, 6)],
      [
        [7, 8, 9],
        [10, 11, 12],
      ],
    ]);
    expect(nested.shape).toEqual([2, 2, 3]);
    expect(Array.from(await nested.data())).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect(gpu.tensor([[], []]).shape).toEqual([2, 0]);
    expect(gpu.tensor([[1, 2, 3, 4]], [2, 2]).shape).toEqual([2, 2]);
    expect(gpu.tensor([[1, 2]], undefined, { dtype: "i32" }).host).toEqual(Int32Array.of(1, 2));
  });

  it("a dim in the place of the options of a reduction", async () => {
    const y = gpu.tensor([
      [1, 2, 6],
      [3, 4, 5],
    ]);
    for (const op of [T.sum, T.mean, T.variance, T.l2Norm, T.amax, T.amin, T.logSumExp]) {
      const expected = Array.from(await op(y, { dim: 1 }).data());
      expect(Array.from(await op(y, 1).data())).toEqual(expected);
      expect(Array.from(await op(y, [-1]).data())).toEqual(expected);
      expect(op(y, 1, true).shape).toEqual([2, 1]);
      expect(op(y, [0, 1]).shape).toEqual([]);
    }
    expect(Array.from(await T.argmax(y, 1).data())).toEqual([2, 2]);
    expect(T.argmax(y, 1, true).shape).toEqual([2, 1]);
    expect(T.l2Normalize(y, 0).shape).toEqual([2, 3]);
    expect(Array.from(await y.sum(0).data())).toEqual([4, 6, 11]);
    expect(() => [y, y].map(T.sum as never)).toThrow(
      "sum: keepDim has to be true or false, got [f32[2, 3], f32[2, 3]]",
    );
  });

  it("a clamp whose min is above its max", async () => {
    expect(Array.from(await T.clamp(gpu.tensor([0, 1.5, 3]), { min: 2, max: 1 }).data())).toEqual([1, 1, 1]);
  });
});
