import type { DType } from "../../src/dtype.ts";
import * as T from "../../src/index.ts";
import { type NdArray, ndarray } from "../../src/testing.ts";
import { matmulReference, reduceReference } from "../reference/arrays.ts";
import { attentionReference } from "../reference/attention.ts";
import { conv2dReference, poolReference } from "../reference/conv.ts";
import { gatherReference, indexSelectReference, pickReference } from "../reference/indexing.ts";
import { interpolateReference, resampleAxisReference } from "../reference/resample.ts";
import { alongAxes, logSoftmaxRow, normalizeRow, softmaxRow, unitRow } from "../reference/rows.ts";
import { byDType, type Case, type Entry, floatsOnly, moves, near, typed } from "./case.ts";
import { castTo, common, DTYPES, isFloat, result, small, type Typed } from "./numbers.ts";

type Values = readonly number[];
const total = (values: Values): number => values.reduce((a, b) => a + b, 0);
const average = (values: Values): number => total(values) / values.length;
const spread = (values: Values): number => total(values.map((x) => (x - average(values)) ** 2)) / (values.length - 1);
const first = (values: Values, best: number): number => values.indexOf(best);
const reshaped = (x: NdArray, shape: readonly number[]): NdArray => ({ shape, data: x.data });

/** A reduction of [3, 8] along its last axis, along its first and of all; long enough for vectors and for what is left. */
function reduction(
  run: (x: T.Tensor, options: { dim?: number }) => T.Tensor,
  f: (values: number[]) => number,
  types: (dtype: DType) => DType | undefined,
  all = true,
): Entry {
  const ways: readonly (number | undefined)[] = all ? [1, 0, undefined] : [1, 0];
  return () =>
    ways.flatMap((dim) =>
      byDType(
        (dtype) => small(dtype, [5, 7]),
        (x) => run(x, dim === undefined ? {} : { dim }),
        types,
        reduceReference(dim === undefined ? undefined : [dim], f),
      )().map((one) => ({ ...one, name: `${one.name} along ${dim ?? "all"}` })),
    );
}

const summed = (dtype: DType): DType => (dtype === "bool" ? "i32" : dtype);
const same = (dtype: DType): DType => dtype;
const real = (dtype: DType): DType => (isFloat(dtype) ? dtype : "f32");
const onlyFloats = (dtype: DType): DType | undefined => (isFloat(dtype) ? dtype : undefined);
const whole = (): DType => "i32";

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

/** Joins of every pair of dtypes. */
function joined(run: (tensors: T.Tensor[]) => T.Tensor, shape: readonly number[]): Entry {
  return () =>
    DTYPES.flatMap((left) =>
      DTYPES.map((second): Case => {
        const [a, b] = [small(left, [2, 3]), small(second, [2, 3], 2)];
        const to = common(left, second);
        const data = to && [...castTo(a, left, to).data, ...castTo(b, second, to).data];
        return {
          name: `${left}, ${second}`,
          inputs: [a, b],
          run: (...tensors) => run(tensors),
          right: to ? { dtype: to, shape, data: Float64Array.from(data!) } : "refused",
        };
      }),
    );
}

function picked(x: NdArray, shape: readonly number[], at: (i: number) => number): NdArray {
  const size = shape.reduce((a, b) => a * b, 1);
  return ndarray(
    shape,
    Array.from({ length: size }, (_, i) => x.data[at(i)]!),
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
const transposed = (x: NdArray): NdArray => {
  const [n, m] = x.shape as [number, number];
  return picked(x, [m, n], (i) => (i % n) * m + Math.floor(i / n));
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

const padCases: Entry = () => [
  ...moves(
    [2, 3],
    (x) =>
      T.pad(x, [
        [1, 0],
        [0, 1],
      ]),
    (x) => ndarray([3, 4], [0, 0, 0, 0, ...x.data.slice(0, 3), 0, ...x.data.slice(3), 0]),
  )(),
  ...DTYPES.flatMap((dtype) =>
    [3, 0.5, -1, 16777217, 3e9].map((value): Case => {
      const x = small(dtype, [1]);
      const inside =
        isFloat(dtype) ||
        dtype === "bool" ||
        (dtype === "i32" ? [3, -1, 16777217] : [3, 16777217, 3e9]).includes(value);
      const right = { dtype, shape: [2], data: Float64Array.of(x.data[0]!, inside ? result(value, dtype) : 0) };
      return {
        name: `${dtype} with ${value}`,
        inputs: [x],
        run: (x) => T.pad(x, [[0, 1]], { value }),
        right: inside ? right : "refused",
      };
    }),
  ),
];

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

/** One step on every pair of a parameter's and a gradient's dtype, the moments f32; and with moments of another. */
const adamCases: Entry = () =>
  DTYPES.flatMap((param) =>
    DTYPES.flatMap((grad) =>
      (["f32", "f16"] as const).map((moment): Case => {
        const [p, g] = [small(param, [5]), small(grad, [5], 2)];
        const m: Typed = { dtype: moment, shape: [5], data: new Float64Array(5) };
        const fits = isFloat(param) && isFloat(grad) && moment === "f32";
        const run = (param: T.Tensor, grad: T.Tensor, expAvg: T.Tensor, expAvgSq: T.Tensor): T.Tensor => {
          T.adamStep({
            param,
            grad,
            expAvg,
            expAvgSq,
            lr: 0.25,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weightDecay: 0,
            decoupled: false,
            step: 1,
          });
          return param;
        };
        // The first step is lr · sign(g).
        const stepped = ndarray(
          [5],
          p.data.map((value, i) => value - 0.25 * Math.sign(g.data[i]!)),
        );
        return {
          name: `${param}, gradient ${grad}, moments ${moment}`,
          inputs: [p, g, m, { ...m }],
          run: run as Case["run"],
          right: fits ? typed(stepped, param) : "refused",
          ...near(param),
        };
      }),
    ),
  );

const assignCases: Entry = () =>
  DTYPES.flatMap((target) =>
    DTYPES.map((value): Case => {
      const [x, y] = [small(target, [3]), small(value, [3], 2)];
      const run = (x: T.Tensor, y: T.Tensor): T.Tensor => {
        T.assign(x, y);
        return x;
      };
      return {
        name: `${target} from ${value}`,
        inputs: [x, y],
        run: run as Case["run"],
        right: target === value ? y : "refused",
      };
    }),
  );

const window = { kernel: 2, stride: 1, padding: 1 } as const;
const box = [2, 2] as const;
const step = [1, 1] as const;

export const families: Readonly<Record<string, Entry>> = {
  sum: reduction(T.sum, total, summed),
  mean: reduction(T.mean, average, real),
  variance: reduction(T.variance, spread, onlyFloats),
  l2Norm: reduction(T.l2Norm, (values) => Math.hypot(...values), onlyFloats),
  logSumExp: reduction(T.logSumExp, (values) => Math.log(total(values.map(Math.exp))), real),
  amax: reduction(T.amax, (values) => Math.max(...values), same),
  amin: reduction(T.amin, (values) => Math.min(...values), same),
  argmax: reduction(T.argmax, (values) => first(values, Math.max(...values)), whole),
  max: reduction(
    (x, { dim }) => T.max(x, dim!).values,
    (values) => Math.max(...values),
    same,
    false,
  ),
  min: reduction(
    (x, { dim }) => T.min(x, dim!).values,
    (values) => Math.min(...values),
    same,
    false,
  ),
  softmax: floatsOnly([[3, 7]], (x) => T.softmax(x, -1), rows(softmaxRow)),
  logSoftmax: floatsOnly([[3, 7]], (x) => T.logSoftmax(x, -1), rows(logSoftmaxRow)),
  l2Normalize: floatsOnly([[3, 7]], (x) => T.l2Normalize(x), rows(unitRow)),
  layerNorm: floatsOnly(
    [[3, 7], [7], [7]],
    (x, weight, bias) => T.layerNorm(x!, { weight: weight!, bias: bias! }),
    (x, weight, bias) => affine(rows(normalizeRow)(x!), weight!, bias!),
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
  cat: joined((tensors) => T.cat(tensors, 0), [4, 3]),
  stack: joined((tensors) => T.stack(tensors), [2, 2, 3]),
  pad: padCases,
  split: moves(
    [4, 3],
    (x) => T.split(x, 2, 0)[1]!,
    (x) => picked(x, [2, 3], (i) => 6 + i),
  ),
  chunk: moves(
    [4, 3],
    (x) => T.chunk(x, 2, 0)[1]!,
    (x) => picked(x, [2, 3], (i) => 6 + i),
  ),
  roll: moves(
    [2, 3],
    (x) => T.roll(x, 1, 1),
    (x) => picked(x, [2, 3], (i) => (i % 3 === 0 ? i + 2 : i - 1)),
  ),
  repeat: moves(
    [3],
    (x) => T.repeat(x, [2]),
    (x) => picked(x, [6], (i) => i % 3),
  ),
  reshape: moves(
    [2, 3],
    (x) => T.reshape(x, [3, 2]),
    (x) => reshaped(x, [3, 2]),
  ),
  permute: moves([2, 3], (x) => T.clone(T.permute(x, [1, 0])), transposed),
  transpose: moves([5, 6], (x) => T.clone(T.transpose(x, 0, 1)), transposed),
  slice: moves(
    [2, 6],
    (x) => T.slice(x, [null, [1, 6, 2]]),
    (x) => picked(x, [2, 3], (i) => 6 * Math.floor(i / 3) + 1 + 2 * (i % 3)),
  ),
  narrow: moves(
    [2, 3],
    (x) => T.narrow(x, 1, 1, 2),
    (x) => picked(x, [2, 2], (i) => 3 * Math.floor(i / 2) + 1 + (i % 2)),
  ),
  select: moves(
    [2, 3],
    (x) => T.select(x, 0, 1),
    (x) => picked(x, [3], (i) => 3 + i),
  ),
  expand: moves(
    [3],
    (x) => T.clone(T.expand(x, [2, 3])),
    (x) => picked(x, [2, 3], (i) => i % 3),
  ),
  squeeze: moves(
    [3, 1],
    (x) => T.squeeze(x),
    (x) => reshaped(x, [3]),
  ),
  unsqueeze: moves(
    [3],
    (x) => T.unsqueeze(x, 0),
    (x) => reshaped(x, [1, 3]),
  ),
  flatten: moves(
    [2, 3],
    (x) => T.flatten(x),
    (x) => reshaped(x, [6]),
  ),
  flip: moves(
    [5],
    (x) => T.flip(x, 0),
    (x) => picked(x, [5], (i) => 4 - i),
  ),
  contiguous: moves([2, 3], (x) => T.contiguous(T.transpose(x, 0, 1)), transposed),
  clone: moves([7], T.clone, (x) => x),
  rearrange: moves([2, 3], (x) => T.rearrange(x, "a b -> b a"), transposed),
  pixelShuffle: moves(
    [4, 1, 2],
    (x) => T.pixelShuffle(x, 2),
    (x) => picked(x, [1, 2, 4], (i) => (Math.floor(i / 4) * 2 + (i % 2)) * 2 + Math.floor((i % 4) / 2)),
  ),
  pixelUnshuffle: moves(
    [1, 2, 4],
    (x) => T.pixelUnshuffle(x, 2),
    (x) => picked(x, [4, 1, 2], (i) => Math.floor(i / 4) * 4 + (i % 2) * 2 + (Math.floor(i / 2) % 2)),
  ),
  adamStep: adamCases,
  assign: assignCases,
};

/** Exports that take no tensor, or give none. */
export const OTHERS: readonly string[] = ["pair", "checkPair", "poolGeometry", "interpolationTaps", "checkFinite"];
