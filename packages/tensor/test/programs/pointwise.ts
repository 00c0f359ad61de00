import { type DType, isFloat } from "../../src/dtype.ts";
import * as T from "../../src/index.ts";
import { broadcastShapes, numel } from "../../src/shape.ts";
import { compatible, isNumber, isReal, type Maker, type Pool, SMALL, step } from "./draw.ts";
import type { Id } from "./program.ts";
import { common, holds, Invalid, type Shadow, zip } from "./shadow.ts";

/*
 * Pointwise ops that keep whole numbers whole.
 */

export type Of = (...values: number[]) => number;

/** An op of one argument with its slope. */
export function unary(
  name: string,
  op: (x: T.Tensor) => T.Tensor,
  f: Of,
  slope: Of,
  fits: (x: Shadow) => boolean = isNumber,
): Maker {
  return step(() => ({ name, ownership: "own", run: op, shadow: (x) => zip(x.dtype, [x], f, [slope]) }), fits);
}

/** A number beside a tensor has to be one of its type. */
function beside(x: Shadow, k: number): void {
  if (!holds(x.dtype, k)) throw new Invalid("a number of another type");
}

/** An op of a tensor and a whole number. */
function scalar(
  name: string,
  op: (x: T.Tensor, k: number) => T.Tensor,
  f: Of,
  slope: Of,
  result: (dtype: DType) => DType = (dtype) => dtype,
): Maker {
  return step((_, pool) => {
    const k = pool.random(7) - 3;
    return {
      name,
      options: [k],
      ownership: "own",
      run: (x) => op(x, k),
      shadow: (x) => {
        beside(x, k);
        return zip(result(x.dtype), [x], (v) => f(v!, k), [(v) => slope(v!, k)]);
      },
    };
  }, isNumber);
}

/** A second operand for `a`: often the same one. */
function partner(pool: Pool, a: Id, fits: (x: Shadow) => boolean): Id {
  if (pool.chance(0.25)) return a;
  const { shape, data } = pool.at(a);
  const found = pool.find((x) => {
    if (!fits(x) || !compatible(shape, x.shape)) return false;
    const size = numel(broadcastShapes("partner", shape, x.shape));
    return size <= SMALL || size === Math.max(data.length, x.data.length);
  });
  return found ?? a;
}

export function binary(
  name: string,
  op: (a: T.Tensor, b: T.Tensor) => T.Tensor,
  f: Of,
  slopes: readonly Of[],
  result: (x: Shadow, y: Shadow) => DType = common,
  fits: (x: Shadow) => boolean = isNumber,
): Maker {
  return (pool) => {
    const a = pool.find(fits);
    if (a === undefined) return undefined;
    return {
      args: [a, partner(pool, a, fits)],
      call: {
        text: (x, y) => `${name}(${x}, ${y})`,
        ownership: "own",
        run: (x, y) => op(x!, y!),
        shadow: (x, y) => zip(result(x!, y!), [x!, y!], f, slopes),
      },
    };
  };
}

const bool = (): DType => "bool";
const flat: Of = () => 0;

function comparison(
  name: string,
  op: (a: T.Tensor, b: T.Operand) => T.Tensor,
  f: (a: number, b: number) => boolean,
): Maker[] {
  const truth: Of = (a, b) => Number(f(a!, b!));
  const compared = (x: Shadow, y: Shadow): DType => common(x, y) && "bool";
  return [binary(name, op, truth, [], compared), scalar(name, op, truth, flat, bool)];
}

function logical(
  name: string,
  op: (a: T.Tensor, b: T.Tensor) => T.Tensor,
  f: (a: boolean, b: boolean) => boolean,
): Maker {
  const anything = (): boolean => true;
  return binary(name, op, (a, b) => Number(f(a !== 0, b !== 0)), [], bool, anything);
}

/** `where` of a condition and two values of one type, which may be the same one, or of a value and a number. */
export const where: Maker = (pool) => {
  const c = pool.find((x) => x.dtype === "bool");
  if (c === undefined) return undefined;
  const a = partner(pool, c, isNumber);
  if (a === c) return undefined;
  const { dtype } = pool.at(a);
  const size = (b: Id): number =>
    numel([c, a, b].map((id) => pool.at(id).shape).reduce((x, y) => broadcastShapes("where", x, y)));
  const b = partner(pool, a, (x) => x.dtype === dtype && compatible(x.shape, pool.at(c).shape));
  if (size(b) > SMALL && size(b) !== Math.max(...[c, a, b].map((id) => pool.at(id).data.length))) return undefined;
  const slopes: Of[] = [flat, (c) => Number(c !== 0), (c) => Number(c === 0)];
  if (pool.chance(0.25)) {
    const k = pool.random(7) - 3;
    return {
      args: [c, a],
      call: {
        text: (c, a) => `where(${c}, ${a}, ${k})`,
        ownership: "own",
        run: (c, a) => T.where(c!, a!, k),
        shadow: (c, a) => {
          beside(a!, k);
          return zip(dtype, [c!, a!], (c, a) => (c ? a! : k), [undefined, slopes[1]]);
        },
      },
    };
  }
  return {
    args: [c, a, b],
    call: {
      text: (c, a, b) => `where(${c}, ${a}, ${b})`,
      ownership: "own",
      run: (c, a, b) => T.where(c!, a!, b!),
      shadow: (c, a, b) => zip(dtype, [c!, a!, b!], (c, a, b) => (c ? a! : b!), [undefined, slopes[1], slopes[2]]),
    },
  };
};

const cast: Maker = step((_, pool) => {
  const types: readonly DType[] = ["f32", "i32", "u32", "bool", "f16"];
  const dtype = types[pool.random(pool.half ? 5 : 4)]!;
  return {
    name: "cast",
    options: [dtype],
    ownership: "own",
    run: (x) => T.cast(x, dtype),
    shadow: (x) => {
      if (x.dtype === dtype) return x;
      if (isFloat(x.dtype) && isFloat(dtype)) return zip(dtype, [x], (v) => v!, [() => 1]);
      // A float is cut, and what is below what there is becomes the least; a whole number keeps its bits, which is left out here.
      const least = dtype === "u32" && isFloat(x.dtype) ? 0 : Number.NEGATIVE_INFINITY;
      return zip(dtype, [x], dtype === "bool" ? (v) => Number(v !== 0) : (v) => Math.max(least, Math.trunc(v!)));
    },
  };
});

const clamp: Maker = step((_, pool) => {
  const min = -pool.random(4);
  const max = pool.random(5);
  const limits = [{ min, max }, { min }, { max }][pool.random(3)]! as { min?: number; max?: number };
  const low = limits.min ?? Number.NEGATIVE_INFINITY;
  const high = limits.max ?? Number.POSITIVE_INFINITY;
  return {
    name: "clamp",
    options: [limits],
    ownership: "own",
    run: (x) => T.clamp(x, limits),
    shadow: (x) => {
      for (const bound of Object.values(limits)) beside(x, bound);
      return zip(x.dtype, [x], (v) => Math.min(high, Math.max(low, v!)), [(v) => Number(v! >= low && v! <= high)]);
    },
  };
}, isNumber);

/** To the nearest whole number, of two the even one: gradients hold halves. */
const rounded: Of = (x) => (Math.abs(x! % 1) === 0.5 ? 2 * Math.round(x! / 2) : Math.round(x!));

const larger: Of = (a, b) => (a! > b! ? 1 : a === b ? 0.5 : 0);
const smaller: Of = (a, b) => 1 - larger(a!, b!);

export const SUMS: readonly Maker[] = [
  binary("add", T.add, (a, b) => a! + b!, [() => 1, () => 1]),
  binary("sub", T.sub, (a, b) => a! - b!, [() => 1, () => -1]),
  binary("mul", T.mul, (a, b) => a! * b!, [(_, b) => b!, (a) => a!]),
];

export const EXACT: readonly Maker[] = [
  ...SUMS,
  ...SUMS,
  binary("maximum", T.maximum, (a, b) => Math.max(a!, b!), [larger, smaller]),
  binary("minimum", T.minimum, (a, b) => Math.min(a!, b!), [smaller, larger]),
  scalar(
    "add",
    T.add,
    (x, k) => x! + k!,
    () => 1,
  ),
  scalar(
    "sub",
    (x, k) => T.sub(k, x),
    (x, k) => k! - x!,
    () => -1,
  ),
  scalar(
    "mul",
    T.mul,
    (x, k) => x! * k!,
    (_, k) => k!,
  ),
  unary(
    "neg",
    T.neg,
    (x) => -x!,
    () => -1,
    (x) => isNumber(x) && x.dtype !== "u32",
  ),
  unary(
    "abs",
    T.abs,
    (x) => Math.abs(x!),
    (x) => Math.sign(x!),
  ),
  unary("sign", T.sign, (x) => Math.sign(x!), flat),
  unary(
    "square",
    T.square,
    (x) => x! * x!,
    (x) => 2 * x!,
  ),
  unary(
    "relu",
    T.relu,
    (x) => Math.max(x!, 0),
    (x) => Number(x! > 0),
  ),
  unary("round", T.round, rounded, flat, isReal),
  ...comparison("eq", T.eq, (a, b) => a === b),
  ...comparison("gt", T.gt, (a, b) => a > b),
  ...comparison("le", T.le, (a, b) => a <= b),
  logical("logicalAnd", T.logicalAnd, (a, b) => a && b),
  logical("logicalOr", T.logicalOr, (a, b) => a || b),
  step(() => ({
    name: "logicalNot",
    ownership: "own",
    run: T.logicalNot,
    shadow: (x) => zip("bool", [x], (v) => Number(v === 0)),
  })),
  where,
  where,
  cast,
  clamp,
  clamp,
];

/** Few formulas, for a backend that needs a while for each new combination. */
export const EXACT_FEW: readonly Maker[] = [
  SUMS[0]!,
  SUMS[0]!,
  SUMS[2]!,
  scalar(
    "mul",
    T.mul,
    (x, k) => x! * k!,
    (_, k) => k!,
  ),
  scalar("gt", T.gt, (x, k) => Number(x! > k!), flat, bool),
  where,
];
