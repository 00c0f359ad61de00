import * as T from "../../src/index.ts";
import { broadcastShapes, numel, type Shape } from "../../src/shape.ts";
import { compatible, hasAxis, isReal, type Maker, SMALL, someAxes, step } from "./draw.ts";
import { gathered } from "./joins.ts";
import { constant, extreme, groups, reshaped, type Shadow, total, zip } from "./shadow.ts";

/*
 * Reductions, products of matrices, and the losses that gradients are taken of.
 */

export const isFull = (x: Shadow): boolean => x.dtype !== "bool" && hasAxis(x) && x.data.length > 0;

function dropped(x: Shadow, axes: readonly number[], keepDim: boolean): Shadow {
  return keepDim
    ? x
    : reshaped(
        x,
        x.shape.filter((_, axis) => !axes.includes(axis)),
      );
}

export const sum: Maker = step((x, pool) => {
  const dim = someAxes(pool, x.shape.length);
  const keepDim = pool.chance(0.5);
  return {
    name: "sum",
    options: [{ dim, keepDim }],
    run: (x) => T.sum(x, { dim, keepDim }),
    shadow: (x) => dropped(total(x, dim, x.dtype === "bool" ? "i32" : x.dtype), dim, keepDim),
  };
}, hasAxis);

const extremes: Maker = step((x, pool) => {
  const dim = someAxes(pool, x.shape.length);
  const keepDim = pool.chance(0.5);
  const [name, op, sign] = pool.chance(0.5) ? (["amax", T.amax, 1] as const) : (["amin", T.amin, -1] as const);
  return {
    name,
    options: [{ dim, keepDim }],
    run: (x) => op(x, { dim, keepDim }),
    shadow: (x) => dropped(extreme(x, dim, sign), dim, keepDim),
  };
}, isFull);

/** Positions of the first largest (or smallest) values along an axis, which stays with size 1. */
function positions(x: Shadow, axis: number, sign: 1 | -1): Shadow {
  const { kept, to } = groups(x.shape, [axis]);
  const along = groups(
    x.shape,
    [...x.shape.keys()].filter((other) => other !== axis),
  ).to;
  const best = new Float64Array(numel(kept)).fill(Number.NEGATIVE_INFINITY);
  const found = new Float64Array(numel(kept));
  for (let i = 0; i < to.length; i++) {
    if (sign * x.data[i]! <= best[to[i]!]!) continue;
    best[to[i]!] = sign * x.data[i]!;
    found[to[i]!] = along[i]!;
  }
  return constant(kept, "i32", found);
}

const withPositions: Maker = step((x, pool) => {
  const axis = pool.random(x.shape.length);
  const keepDim = pool.chance(0.5);
  const [name, op, sign] = pool.chance(0.5) ? (["max", T.max, 1] as const) : (["min", T.min, -1] as const);
  return {
    name,
    options: [axis, keepDim],
    results: 2,
    run: (x) => {
      const { values, indices } = op(x, axis, keepDim);
      return [values, indices];
    },
    shadow: (x) => {
      const at = positions(x, axis, sign);
      return [dropped(gathered(x, axis, at), [axis], keepDim), dropped(at, [axis], keepDim)];
    },
  };
}, isFull);

const argmax: Maker = step((x, pool) => {
  const dim = pool.random(x.shape.length);
  const keepDim = pool.chance(0.5);
  return {
    name: "argmax",
    options: [{ dim, keepDim }],
    run: (x) => T.argmax(x, { dim, keepDim }),
    shadow: (x) => dropped(positions(x, dim, 1), [dim], keepDim),
  };
}, isFull);

/** `a (…, m, k) · b (…, k, n)` by definition: all products, summed over k. */
function product(a: Shadow, b: Shadow): Shadow {
  const rows = reshaped(a, [...a.shape, 1]);
  const columns = reshaped(b, [...b.shape.slice(0, -2), 1, ...b.shape.slice(-2)]);
  const products = zip("f32", [rows, columns], (x, y) => x! * y!, [(_, y) => y!, (x) => x!]);
  const axis = products.shape.length - 2;
  return dropped(total(products, [axis]), [axis], false);
}

export function matmul(scale: (k: number) => number): Maker {
  return (pool) => {
    const a = pool.find((x) => isReal(x) && x.shape.length >= 2 && x.data.length <= SMALL);
    if (a === undefined) return undefined;
    const { shape } = pool.at(a);
    const batch = shape.slice(0, -2);
    const fits = (x: Shadow): boolean =>
      isReal(x) &&
      x.shape.length >= 2 &&
      x.shape.at(-2) === shape.at(-1) &&
      compatible(batch, x.shape.slice(0, -2)) &&
      numel(broadcastShapes("matmul", batch, x.shape.slice(0, -2))) * shape.at(-2)! * x.shape.at(-1)! <= SMALL;
    const b = pool.chance(0.2) && fits(pool.at(a)) ? a : pool.find(fits);
    if (b === undefined) return undefined;
    const k = scale(shape.at(-1)!);
    return {
      args: [a, b],
      call: {
        text: (x, y) => (k === 1 ? `matmul(${x}, ${y})` : `mul(matmul(${x}, ${y}), ${k})`),
        ownership: "own",
        run: (x, y) => (k === 1 ? T.matmul(x!, y!) : T.mul(T.matmul(x!, y!), k)),
        shadow: (x, y) => {
          const z = product(x!, y!);
          return k === 1 ? z : zip("f32", [z], (v) => v! * k, [() => k]);
        },
      },
    };
  };
}

export const EXACT: readonly Maker[] = [sum, sum, extremes, withPositions, argmax, matmul(() => 1), matmul(() => 1)];

/** A number out of one or two values, weighted by a pattern of whole numbers (or a rough one): what gradients are taken of. */
export function loss(exact: boolean): Maker {
  return (pool) => {
    const wanted = (x: Shadow): boolean => isReal(x) && x.edges.length > 0;
    const first = pool.find(wanted);
    if (first === undefined) return undefined;
    const args = pool.chance(0.5) ? [first] : [first, pool.chance(0.2) ? first : pool.find(wanted)!];
    const salt = pool.random(5);
    const disposes = pool.chance(0.5);
    const weight = (i: number): number =>
      exact ? ((i * 7 + salt * 3) % 5) - 2 + Number(i % 4 === 0) : Math.fround(Math.cos(salt + 3 * i));
    const weights = (shape: Shape): Float64Array => Float64Array.from({ length: numel(shape) }, (_, i) => weight(i));
    const term = (x: T.Tensor): T.Tensor => {
      const factors = x.device.tensor(weights(x.shape), x.shape);
      const y = T.sum(T.mul(x, factors));
      if (disposes) factors.dispose();
      return y;
    };
    const shadowed = (x: Shadow): Shadow => {
      const y = zip("f32", [x, constant(x.shape, "f32", weights(x.shape))], (a, b) => a! * b!, [(_, b) => b!]);
      return reshaped(total(y, [...y.shape.keys()]), []);
    };
    return {
      args,
      call: {
        text: (...xs) =>
          `${xs.map((x) => `sum(mul(${x}, weights(${salt})))`).join(" + ")}${disposes ? " [weights disposed]" : ""}`,
        ownership: "open",
        run: (...xs) => xs.map(term).reduce((a, b) => T.add(a, b)),
        shadow: (...xs) => xs.map(shadowed).reduce((a, b) => zip("f32", [a, b], (x, y) => x! + y!, [() => 1, () => 1])),
      },
    };
  };
}
