import type { DType } from "../../src/dtype.ts";
import * as T from "../../src/index.ts";
import { type NdArray, ndarray } from "../../src/testing.ts";
import { matmulReference } from "../reference/arrays.ts";
import { attentionReference } from "../reference/attention.ts";
import { conv2dReference, poolReference } from "../reference/conv.ts";
import { gatherReference, indexSelectReference, pickReference } from "../reference/indexing.ts";
import { interpolateReference, resampleAxisReference } from "../reference/resample.ts";
import { alongAxes, logSoftmaxRow, normalizeRow, softmaxRow, unitRow } from "../reference/rows.ts";
import { byDType, type Case, type Entry, floatsOnly, near, typed } from "./case.ts";
import { movesAndJoins, transposed } from "./moves.ts";
import { DTYPES, result, small, type Typed } from "./numbers.ts";
import { onlyFloats, reductions } from "./reductions.ts";
import { writes } from "./writes.ts";

type Values = readonly number[];

/** An index beside every dtype of x, of both types that there are, and of those that are refused. */
function indexed(
  shape: readonly number[],
  index: Values,
  indexShape: readonly number[],
  run: (x: T.Tensor, index: T.Tensor) => T.Tensor,
  reference: (x: NdArray) => NdArray,
): Entry {
  return () =>
    DTYPES.flatMap((dtype) =>
      DTYPES.map((type): Case => {
        const x = small(dtype, shape);
        const at: Typed = {
          dtype: type,
          shape: indexShape,
          data: Float64Array.from(index, (value) => result(value, type)),
        };
        const right = type === "i32" || type === "u32" ? { dtype, ...reference(x) } : "refused";
        return { name: `${dtype} at ${type}`, inputs: [x, at], run, right };
      }),
    );
}

const rows = (f: (values: Values) => Values) => (x: NdArray) => alongAxes(x, [x.shape.length - 1], f);
const affine = (x: NdArray, weight: NdArray, bias: NdArray): NdArray => {
  const n = weight.data.length;
  return ndarray(
    x.shape,
    x.data.map((value, i) => value * weight.data[i % n]! + bias.data[i % n]!),
  );
};
const batchNormed = (x: NdArray, weight: NdArray, bias: NdArray): NdArray => {
  const [, channels, size] = x.shape as [number, number, number];
  const normal = alongAxes(x, [0, 2], normalizeRow);
  const channel = (i: number): number => Math.floor(i / size) % channels;
  return ndarray(
    x.shape,
    normal.data.map((value, i) => value * weight.data[channel(i)]! + bias.data[channel(i)]!),
  );
};
const taps = { outSize: 2, tapCount: 2, start: Int32Array.of(0, 2), weights: Float32Array.of(0.25, 0.75, 0.5, 0.5) };
const bilinear = (x: NdArray): NdArray =>
  interpolateReference(x, { mode: "bilinear", size: [6, 10], step: [0.5, 0.5] });

/** A mask of truth values hides, numbers of the operands' own dtype are added, anything else is refused. */
const maskCases: Entry = () =>
  (["f32", "f16"] as const).flatMap((dtype) =>
    DTYPES.map((type): Case => {
      const inputs = [
        small(dtype, [3, 4], 1),
        small(dtype, [5, 4], 2),
        small(dtype, [5, 2], 3),
        small(type, [3, 5], 4),
      ];
      const mask = inputs[3]!;
      // Every query sees something.
      if (type === "bool") for (let i = 0; i < 3; i++) mask.data[5 * i] = 1;
      const added = ndarray(
        [3, 5],
        mask.data.map((value) => (type === "bool" ? (value ? 0 : Number.NEGATIVE_INFINITY) : value)),
      );
      const fits = type === "bool" || type === dtype;
      const right = fits ? typed(attentionReference(0.5, inputs[0]!, inputs[1]!, inputs[2]!, added), dtype) : "refused";
      const run = (q: T.Tensor, k: T.Tensor, v: T.Tensor, mask: T.Tensor): T.Tensor => T.attention(q, k, v, { mask });
      return { name: `${dtype}, masked by ${type}`, inputs, run: run as Case["run"], right, ...near(dtype) };
    }),
  );

const rng = (): T.Rng => new T.Rng(1);
/** Zeros have one Poisson count, whatever the generator. */
const zeros = (dtype: DType): Typed => ({ dtype, shape: [3], data: new Float64Array(3) });
const drawn =
  (run: (device: T.Device) => T.Tensor, dtype: DType): Entry =>
  () => [
    // Which numbers is for random.test.ts to check; here their type and whether each is one of it.
    {
      name: "drawn",
      inputs: [],
      run: (x) => {
        const y = run(x.device as T.Device);
        return T.cast(T.isFinite(y), y.dtype);
      },
      right: { dtype, shape: [3], data: Float64Array.of(1, 1, 1) },
    },
  ];

const window = { kernel: 2, stride: 1, padding: 1 } as const;
const box = [2, 2] as const;
const step = [1, 1] as const;

export const families: Readonly<Record<string, Entry>> = {
  ...reductions,
  ...movesAndJoins,
  ...writes,
  softmax: floatsOnly([[3, 7]], (x) => T.softmax(x, -1), rows(softmaxRow)),
  logSoftmax: floatsOnly([[3, 7]], (x) => T.logSoftmax(x, -1), rows(logSoftmaxRow)),
  l2Normalize: floatsOnly([[3, 7]], (x) => T.l2Normalize(x), rows(unitRow)),
  layerNorm: floatsOnly(
    [[3, 7], [7], [7]],
    (x, weight, bias) => T.layerNorm(x!, { weight: weight!, bias: bias! }),
    (x, weight, bias) => affine(rows(normalizeRow)(x!), weight!, bias!),
  ),
  normMlp: floatsOnly(
    [[3, 4], [5, 4], [5]],
    (x, weight, bias) => T.normMlp(x!, [{ weight: weight!, bias: bias! }]),
    (x, weight, bias) =>
      affine(matmulReference(x!, transposed(weight!)), { shape: [5], data: new Float64Array(5).fill(1) }, bias!),
  ),
  hostCall: byDType(
    (dtype) => small(dtype, [2, 3]),
    (x) => {
      const sums = (values: Float32Array): Float32Array =>
        Float32Array.of(values[0]! + values[1]! + values[2]!, values[3]! + values[4]! + values[5]!);
      return T.hostCall(x, [2], { now: sums, later: async (values) => sums(values) });
    },
    (dtype) => (dtype === "f32" ? "f32" : undefined),
    ({ data }) => ndarray([2], [data[0]! + data[1]! + data[2]!, data[3]! + data[4]! + data[5]!]),
  ),
  batchNorm: floatsOnly(
    [[3, 2, 5], [2], [2]],
    (x, weight, bias) => T.batchNorm(x!, { weight: weight!, bias: bias! }).y,
    (x, weight, bias) => batchNormed(x!, weight!, bias!),
  ),
  matmul: floatsOnly(
    [
      [3, 5],
      [5, 4],
    ],
    (a, b) => T.matmul(a!, b!),
    (a, b) => matmulReference(a!, b!),
  ),
  linear: floatsOnly(
    [[3, 5], [4, 5], [4]],
    (x, weight, bias) => T.linear(x!, weight!, bias!),
    (x, weight, bias) =>
      affine(matmulReference(x!, transposed(weight!)), { shape: [4], data: new Float64Array(4).fill(1) }, bias!),
  ),
  channelLinear: floatsOnly(
    [[1, 5, 3], [4, 5], [4]],
    (x, weight, bias) => T.channelLinear(x!, weight!, bias!),
    (x, weight, bias) => {
      const tokens = matmulReference(transposed({ shape: [5, 3], data: x!.data }), transposed(weight!));
      const y = affine(tokens, { shape: [4], data: new Float64Array(4).fill(1) }, bias!);
      return { shape: [1, 4, 3], data: transposed(y).data };
    },
  ),
  conv2d: floatsOnly(
    [[2, 3, 5, 4], [2, 3, 3, 3], [2]],
    (x, weight, bias) => T.conv2d(x!, weight!, { bias: bias!, padding: 1 }),
    (x, weight, bias) => conv2dReference(x!, weight!, bias, { padding: [1, 1] }),
  ),
  attention: () => [
    ...floatsOnly(
      [
        [3, 4],
        [5, 4],
        [5, 2],
      ],
      (q, k, v) => T.attention(q!, k!, v!),
      (q, k, v) => attentionReference(0.5, q!, k!, v!),
    )(),
    ...maskCases(),
  ],
  attentionWeights: floatsOnly(
    [
      [3, 4],
      [5, 4],
    ],
    (q, k) => T.attentionWeights(q!, k!),
    (q, k) => {
      const scores = matmulReference(q!, transposed(k!));
      return rows(softmaxRow)({ shape: scores.shape, data: scores.data.map((value) => value / 2) });
    },
  ),
  maxPool2d: byDType(
    (dtype) => small(dtype, [1, 2, 4, 5]),
    (x) => T.maxPool2d(x, window),
    (dtype) => (dtype === "bool" ? undefined : dtype),
    (x) => poolReference(x, "max", box, step, { padding: [1, 1] }),
  ),
  avgPool2d: floatsOnly(
    [[1, 2, 4, 5]],
    (x) => T.avgPool2d(x!, window),
    (x) => poolReference(x!, "mean", box, step, { padding: [1, 1] }),
  ),
  adaptiveAvgPool2d: floatsOnly(
    [[1, 2, 4, 6]],
    (x) => T.adaptiveAvgPool2d(x!, [2, 3]),
    (x) => poolReference(x!, "mean", box, box),
  ),
  interpolate: floatsOnly(
    [[1, 2, 3, 5]],
    (x) => T.interpolate(x!, { mode: "bilinear", scaleFactor: 2 }),
    (x) => bilinear(x!),
  ),
  resampleAxis: floatsOnly(
    [[3, 4]],
    (x) => T.resampleAxis(x!, 1, taps),
    (x) => resampleAxisReference(x!, 1, taps),
  ),
  dropout: byDType(
    zeros,
    (x) => T.dropout(x, { p: 0.5, rng: rng() }),
    onlyFloats,
    (x) => x,
  ),
  poisson: byDType(
    zeros,
    (rate) => T.poisson(rate, rng()),
    onlyFloats,
    (x) => x,
  ),
  countDistinct: byDType(
    (dtype) => ({ dtype, shape: [2, 4], data: Float64Array.of(0, 1, 1, 0, 1, 1, 1, 1) }),
    T.countDistinct,
    () => "f32",
    () => ndarray([2], [2, 1]),
  ),
  rand: drawn((device) => T.rand(device, [3], rng()), "f32"),
  randn: drawn((device) => T.randn(device, [3], rng()), "f32"),
  randBits: drawn((device) => T.randBits(device, [3], rng()), "u32"),
  bernoulli: drawn((device) => T.bernoulli(device, [3], 0.5, rng()), "f32"),
  embedding: indexed(
    [4, 3],
    [3, 0, 3, 1],
    [2, 2],
    T.embedding as never,
    indexSelectReference([4, 3], 0, [3, 0, 3, 1], [2, 2]),
  ),
  indexSelect: indexed(
    [3, 4],
    [3, 0, 1],
    [3],
    (x, index) => T.indexSelect(x, 1, index),
    indexSelectReference([3, 4], 1, [3, 0, 1], [3]),
  ),
  gather: indexed(
    [2, 4],
    [3, 0, 1, 1],
    [2, 2],
    (x, index) => T.gather(x, 1, index),
    gatherReference([2, 4], 1, [3, 0, 1, 1], [2, 2]),
  ),
  pick: indexed([3, 4], [3, 0, 1], [3], T.pick as never, pickReference([3, 4], [3, 0, 1])),
};

/** Exports that take no tensor, or give none of its numbers. */
export const OTHERS: readonly string[] = [
  "pair",
  "checkPair",
  "poolGeometry",
  "interpolationTaps",
  "checkFinite",
  "assignTogether",
  "zeroMoments",
  "layTogether",
];
