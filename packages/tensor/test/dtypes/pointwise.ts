import type { DType } from "../../src/dtype.ts";
import * as E from "../../src/expr/expr.ts";
import * as T from "../../src/index.ts";
import type { NdArray } from "../../src/testing.ts";
import { erfReference } from "../reference/arrays.ts";
import { byDType, type Case, type Entry, near } from "./case.ts";
import { cast, castTo, common, DTYPES, half, isFloat, isWhole, result, special, type Typed } from "./numbers.ts";

type Of = (x: number) => number;
type Types = (dtype: DType) => DType | undefined;

/** As sin and others of PyTorch: whole numbers and truth values become f32. */
const real: Types = (dtype) => (isFloat(dtype) ? dtype : "f32");
const onlyFloats: Types = (dtype) => (isFloat(dtype) ? dtype : undefined);
const noBool: Types = (dtype) => (dtype === "bool" ? undefined : dtype);
const truth: Types = () => "bool";

/** An elementwise function; floats see what is computed with, which is f32 of everything but f32 and f16. */
function unary(
  run: (x: T.Tensor) => T.Tensor,
  types: Types,
  f: Of,
  domain: (x: number) => boolean = () => true,
): Entry {
  const input = (dtype: DType): Typed => {
    const { data } = special(dtype);
    const kept = data.filter((value) => domain(Math.fround(value)));
    return { dtype, shape: [kept.length], data: kept };
  };
  const reference = ({ dtype, shape, data }: Typed): NdArray => {
    const to = types(dtype)!;
    return { shape, data: data.map((value) => f(isFloat(to) ? Math.fround(value) : value)) };
  };
  return byDType(input, run, types, reference);
}

const sigmoid: Of = (x) => 1 / (1 + Math.exp(-x));
const softplus: Of = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const roundEven: Of = (x) => {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
};
/** Where the last digits of sine and cosine hold. */
const moderate = (x: number): boolean => !(Math.abs(x) > 1000 && Number.isFinite(x));
const finite = (x: number): boolean => Number.isFinite(x);

type BinaryOf = (a: number, b: number) => number;

/** Every pair of dtypes, every pair of numbers; and every dtype beside numbers. */
function binary(
  run: (a: T.Tensor, b: T.Operand) => T.Tensor,
  f: Readonly<{ real: BinaryOf; whole?: BinaryOf; bool?: BinaryOf }>,
  {
    types = (dtype) => dtype,
    refuses = [],
    numbers = true,
  }: { types?: Types; refuses?: readonly DType[]; numbers?: boolean } = {},
): Entry {
  const { whole = f.real, bool = whole } = f;
  const apply = (computed: DType, a: number, b: number): number =>
    isFloat(computed) ? f.real(a, b) : computed === "bool" ? bool(a, b) : whole(a, b);
  const right = (x: Typed, y: Typed, computed: DType, to: DType): Typed => {
    const [a, b] = [castTo(x, x.dtype, computed), castTo(y, y.dtype, computed)];
    const data = Float64Array.from({ length: a.data.length * b.data.length }, (_, i) =>
      result(apply(computed, a.data[Math.floor(i / b.data.length)]!, b.data[i % b.data.length]!), to),
    );
    return { dtype: to, shape: [a.data.length, b.data.length], data };
  };
  return () => {
    const cases: Case[] = [];
    for (const left of DTYPES) {
      for (const second of DTYPES) {
        const [x, y] = [special(left), special(second)];
        const column: Typed = { ...x, shape: [x.data.length, 1] };
        const both = common(left, second);
        const to = both && types(both);
        const refused = !to || refuses.includes(left) || refuses.includes(second);
        const computed = to && isFloat(to) ? to : both!;
        cases.push({
          name: `${left}, ${second}`,
          inputs: [column, y],
          run,
          right: refused ? "refused" : right(x, y, computed, to),
          rel: to === "f32" ? 3e-7 : 0,
        });
      }
      // A tensor without axes widens whole numbers, not floats.
      for (const alone of ["f32", "f16"] as const) {
        const x = special(left);
        const y: Typed = { dtype: alone, shape: [], data: Float64Array.of(2.5) };
        const to = types(isFloat(left) ? left : alone);
        const refused = !to || refuses.includes(left);
        const computed = to && isFloat(to) ? to : isFloat(left) ? left : alone;
        const expected = refused ? "refused" : { ...right(x, y, computed, to), shape: x.shape };
        cases.push({ name: `${left}, ${alone}[]`, inputs: [x, y], run, right: expected, rel: to === "f32" ? 3e-7 : 0 });
      }
      for (const number of numbers ? [2, -1, 0.5, 16777217, 3e9, 2147483649] : []) {
        const x = special(left);
        const whole = Number.isInteger(number);
        const beside = isFloat(left) ? left : !whole ? "f32" : left === "bool" ? "i32" : left;
        const to = types(beside);
        const outside = (beside === "i32" && number > 2147483647) || (beside === "u32" && number < 0);
        const refused = !to || refuses.includes(left) || (outside && !isFloat(to));
        const computed = to && isFloat(to) ? to : beside;
        // A number beside f16 is exact in arithmetic, which is f32 inside, and of f16 in a comparison.
        const exact = computed === "f16" && to === "f16";
        const y: Typed = {
          dtype: computed,
          shape: [1],
          data: Float64Array.of(exact ? Math.fround(number) : result(number, computed)),
        };
        let expected: Typed | "refused" = "refused";
        if (!refused && exact) {
          expected = {
            dtype: to,
            shape: x.shape,
            data: x.data.map((value) => half(f.real(value, Math.fround(number)))),
          };
        } else if (!refused) expected = { ...right(x, y, computed, to), shape: x.shape };
        cases.push({
          name: `${left}, the number ${number}`,
          inputs: [x],
          run: (x) => run(x, number),
          right: expected,
          rel: to === "f32" ? 3e-7 : 0,
        });
      }
    }
    return cases;
  };
}

/** NaN where either is. */
const nanOr =
  (f: BinaryOf): BinaryOf =>
  (a, b) =>
    Number.isNaN(a) || Number.isNaN(b) ? Number.NaN : f(a, b);
const exactProduct: BinaryOf = (a, b) => Number(BigInt.asUintN(32, BigInt(a) * BigInt(b)));
const comparison = (run: (a: T.Tensor, b: T.Operand) => T.Tensor, f: (a: number, b: number) => boolean): Entry =>
  binary(run, { real: (a, b) => Number(f(a, b)) }, { types: truth });
const logical =
  (run: (a: T.Tensor, b: T.Tensor) => T.Tensor, f: (a: boolean, b: boolean) => boolean): Entry =>
  () =>
    DTYPES.flatMap((left) =>
      DTYPES.map((second): Case => {
        const [x, y] = [special(left), special(second)];
        const data = Float64Array.from({ length: x.data.length * y.data.length }, (_, i) =>
          Number(f(x.data[Math.floor(i / y.data.length)] !== 0, y.data[i % y.data.length] !== 0)),
        );
        const shape = [x.data.length, y.data.length];
        return {
          name: `${left}, ${second}`,
          inputs: [{ ...x, shape: [x.data.length, 1] }, y],
          run,
          right: { dtype: "bool", shape, data },
        };
      }),
    );

const whereCases: Entry = () =>
  DTYPES.flatMap((condition) =>
    DTYPES.flatMap((left) =>
      DTYPES.map((second): Case => {
        const [c, x, y] = [special(condition), special(left), special(second)];
        const to = common(left, second);
        const [m, n] = [c.data.length, 2];
        const [a, b] = [x.data.slice(0, n), y.data.slice(0, n)];
        const data = Float64Array.from({ length: m * n }, (_, i) => {
          const at = i % n;
          return c.data[Math.floor(i / n)] !== 0 ? cast(a[at]!, left, to ?? "f32") : cast(b[at]!, second, to ?? "f32");
        });
        return {
          name: `${condition} ? ${left} : ${second}`,
          inputs: [
            { ...c, shape: [m, 1] },
            { ...x, shape: [n], data: a },
            { ...y, shape: [n], data: b },
          ],
          run: T.where as Case["run"],
          right: to ? { dtype: to, shape: [m, n], data } : "refused",
        };
      }),
    ),
  );

/** Bounds are numbers: whole ones keep whole tensors, fractional ones make them f32. */
const clampCases: Entry = () =>
  DTYPES.flatMap((dtype) =>
    (
      [
        [1, 5],
        [-2, 3],
        [0.5, 2.5],
        [undefined, 16777217],
        [0, undefined],
        [undefined, 3e9],
      ] as const
    ).map(([min, max]): Case => {
      const x = special(dtype);
      const bounds = [min, max].filter((bound) => bound !== undefined);
      const to = isFloat(dtype) ? dtype : !bounds.every(Number.isInteger) ? "f32" : dtype === "bool" ? "i32" : dtype;
      const outside = bounds.some((bound) => (to === "i32" && bound > 2147483647) || (to === "u32" && bound < 0));
      const limit = (value: number): number =>
        min !== undefined && value < min ? min : max !== undefined && value > max ? max : value;
      const data = castTo(x, dtype, isFloat(to) ? "f32" : to).data.map((value) => result(limit(value), to));
      const options = { ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) };
      return {
        name: `${dtype} to [${min}, ${max}]`,
        inputs: [x],
        run: (x) => T.clamp(x, options),
        right: outside ? "refused" : { dtype: to, shape: x.shape, data },
      };
    }),
  );

const powCases: Entry = () =>
  DTYPES.flatMap((dtype) =>
    [0, 1, 2, 3, 5, 10, -1, -2, 0.5].map((exponent): Case => {
      const run = (x: T.Tensor): T.Tensor => T.pow(x, exponent);
      if (!isFloat(dtype) && Number.isInteger(exponent)) {
        const x = special(dtype);
        const to = dtype === "bool" ? "i32" : dtype;
        if (exponent < 0) return { name: `${dtype} to ${exponent}`, inputs: [x], run, right: "refused" };
        const power = (value: number): number => Number(BigInt.asUintN(32, BigInt(value) ** BigInt(exponent)));
        const right = { dtype: to, shape: x.shape, data: x.data.map((value) => result(power(value), to)) };
        return { name: `${dtype} to ${exponent}`, inputs: [x], run, right };
      }
      const to = isFloat(dtype) ? dtype : "f32";
      const data = special(dtype).data.filter(
        (value) => Number.isFinite(value) && value !== 0 && Math.abs(value) < 1e6,
      );
      const x: Typed = { dtype, shape: [data.length], data };
      const right = { dtype: to, shape: x.shape, data: data.map((value) => result(value ** exponent, to)) };
      return { name: `${dtype} to ${exponent}`, inputs: [x], run, right, ...near(to) };
    }),
  );

const castCases: Entry = () =>
  DTYPES.flatMap((from) =>
    DTYPES.flatMap((to): Case[] => {
      const x = special(from);
      const right = castTo(x, from, to);
      const host = { ...x, dtype: to };
      return [
        { name: `${from} to ${to}`, inputs: [x], run: (x) => T.cast(x, to), right },
        {
          name: `${from} to ${to}, added to`,
          inputs: [x],
          run: (x) => T.where(T.eq(x, x), T.cast(x, to), T.cast(x, to)),
          right,
        },
        // What device.tensor makes of the host's numbers is the same.
        {
          name: `${from} to ${to} in device.tensor`,
          inputs: [],
          run: tensorOf(x, to),
          right: { ...host, data: right.data },
        },
      ];
    }),
  );

function tensorOf(x: Typed, to: DType): Case["run"] {
  const array =
    x.dtype === "i32" ? Int32Array.from(x.data) : x.dtype === "u32" ? Uint32Array.from(x.data) : [...x.data];
  return (anchor) => anchor.device.tensor(array, x.shape, { dtype: to });
}

const swish = T.pointwise<[T.Tensor]>("swish", (x) => E.mul(x!, E.sigmoid(x!)));

export const pointwise: Readonly<Record<string, Entry>> = {
  add: binary(T.add, { real: (a, b) => a + b, bool: (a, b) => a || b }),
  sub: binary(T.sub, { real: (a, b) => a - b }, { refuses: ["bool"] }),
  mul: binary(T.mul, { real: (a, b) => a * b, whole: exactProduct }),
  div: binary(T.div, { real: (a, b) => a / b }, { types: real }),
  maximum: binary(T.maximum, { real: nanOr(Math.max) }),
  minimum: binary(T.minimum, { real: nanOr(Math.min) }),
  eq: comparison(T.eq, (a, b) => a === b),
  ne: comparison(T.ne, (a, b) => a !== b),
  lt: comparison(T.lt, (a, b) => a < b),
  le: comparison(T.le, (a, b) => a <= b),
  gt: comparison(T.gt, (a, b) => a > b),
  ge: comparison(T.ge, (a, b) => a >= b),
  logicalAnd: logical(T.logicalAnd, (a, b) => a && b),
  logicalOr: logical(T.logicalOr, (a, b) => a || b),
  logicalNot: unary(T.logicalNot, truth, (x) => Number(x === 0)),
  isNan: unary(T.isNan, truth, (x) => Number(Number.isNaN(x))),
  isFinite: unary(T.isFinite, truth, (x) => Number(Number.isFinite(x))),
  where: whereCases,
  cast: castCases,
  clamp: clampCases,
  pow: powCases,
  neg: unary(
    T.neg,
    (dtype) => (dtype === "u32" ? undefined : noBool(dtype)),
    (x) => -x,
  ),
  abs: unary(T.abs, noBool, Math.abs),
  sign: unary(
    T.sign,
    (dtype) => dtype,
    (x) => (x > 0 ? 1 : x < 0 ? -1 : 0),
  ),
  round: unary(T.round, noBool, roundEven),
  floor: unary(T.floor, noBool, Math.floor),
  ceil: unary(T.ceil, noBool, Math.ceil),
  square: byDType(
    special,
    T.square,
    (dtype) => (dtype === "bool" ? "i32" : dtype),
    ({ dtype, shape, data }) => ({
      shape,
      data: data.map((x) => (isWhole(dtype) ? exactProduct(x, x) : dtype === "f16" ? x * x : Math.fround(x * x))),
    }),
  ),
  exp: unary(T.exp, real, (x) => Math.fround(Math.exp(x))),
  log: unary(T.log, real, Math.log),
  sqrt: unary(T.sqrt, real, Math.sqrt),
  rsqrt: unary(T.rsqrt, real, (x) => 1 / Math.sqrt(x)),
  reciprocal: unary(T.reciprocal, real, (x) => 1 / x),
  sin: unary(T.sin, real, Math.sin, moderate),
  cos: unary(T.cos, real, Math.cos, moderate),
  tanh: unary(T.tanh, real, Math.tanh),
  sigmoid: unary(T.sigmoid, real, sigmoid),
  erf: unary(T.erf, real, erfReference, finite),
  relu: unary(T.relu, noBool, (x) => (x <= 0 ? 0 : x)),
  leakyRelu: unary(
    (x) => T.leakyRelu(x, 0.125),
    onlyFloats,
    (x) => (x <= 0 ? 0.125 * x : x),
  ),
  gelu: unary(T.gelu, onlyFloats, (x) => 0.5 * x * (1 + erfReference(x / Math.SQRT2)), finite),
  quickGelu: unary(T.quickGelu, onlyFloats, (x) => x * sigmoid(1.702 * x), finite),
  silu: unary(T.silu, onlyFloats, (x) => x * sigmoid(x), finite),
  softplus: unary(T.softplus, onlyFloats, softplus, finite),
  logSigmoid: unary(T.logSigmoid, onlyFloats, (x) => -softplus(-x), finite),
  // A formula that does not say what it computes in takes what its functions take.
  pointwise: unary(swish, onlyFloats, (x) => x * sigmoid(x), finite),
};
