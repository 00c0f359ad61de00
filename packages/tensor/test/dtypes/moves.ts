import * as T from "../../src/index.ts";
import { type NdArray, ndarray } from "../../src/testing.ts";
import { type Case, type Entry, moves } from "./case.ts";
import { castTo, common, DTYPES, isFloat, result, small } from "./numbers.ts";

export const reshaped = (x: NdArray, shape: readonly number[]): NdArray => ({ shape, data: x.data });

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

export const transposed = (x: NdArray): NdArray => {
  const [n, m] = x.shape as [number, number];
  return picked(x, [m, n], (i) => (i % n) * m + Math.floor(i / n));
};

export function picked(x: NdArray, shape: readonly number[], at: (i: number) => number): NdArray {
  const size = shape.reduce((a, b) => a * b, 1);
  return ndarray(
    shape,
    Array.from({ length: size }, (_, i) => x.data[at(i)]!),
  );
}

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

/** Ops that move numbers, and joins. */
export const movesAndJoins: Readonly<Record<string, Entry>> = {
  cat: joined((tensors) => T.cat(tensors, 0), [4, 3]),
  catEach: moves(
    [2, 3],
    (x) => T.catEach([() => x, () => T.flip(x, 0)], 0),
    (x) => ndarray([4, 3], [...x.data, ...x.data.slice(3), ...x.data.slice(0, 3)]),
  ),
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
};
