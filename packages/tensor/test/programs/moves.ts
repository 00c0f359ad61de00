import * as T from "../../src/index.ts";
import { denseStrides, numel, type Shape } from "../../src/shape.ts";
import { type Maker, type Pool, replaced, SMALL, shuffled, someAxes, step } from "./draw.ts";
import {
  constant,
  detached,
  expandTo,
  flows,
  groups,
  Invalid,
  indices,
  joint,
  pick,
  reshaped,
  type Shadow,
  strided,
} from "./shadow.ts";

/*
 * Ops that only move elements: views, joins, gathers.
 */

const hasAxis = (x: Shadow): boolean => x.shape.length > 0;
const isSmall = (x: Shadow): boolean => x.data.length <= SMALL;
const smallWithAxis = (x: Shadow): boolean => isSmall(x) && hasAxis(x);

/** A view is the tensor itself where the shape stays. */
function shaped(x: Shadow, shape: Shape): Shadow {
  return shape.join() === x.shape.join() ? x : reshaped(x, shape);
}

/** A shape of as many elements: itself, flat, with ones put in, axes merged or an axis split. */
function otherShape(shape: Shape, pool: Pool): Shape {
  const axis = pool.random(Math.max(1, shape.length));
  switch (pool.random(6)) {
    case 0:
      return shape;
    case 1:
      return [numel(shape)];
    case 2:
      return [...shape.slice(0, axis), 1, ...shape.slice(axis)];
    case 3:
      return shape.length < 2 || axis === 0
        ? [...shape, 1]
        : [...shape.slice(0, axis - 1), shape[axis - 1]! * shape[axis]!, ...shape.slice(axis + 1)];
    case 4:
      return shape.filter((size) => size !== 1);
    default: {
      const size = shape[axis] ?? 1;
      const by = [2, 3, 4, 5].find((factor) => size % factor === 0) ?? 1;
      return [...shape.slice(0, axis), by, size / by, ...shape.slice(axis + 1)];
    }
  }
}

const reshape: Maker = step((x, pool) => {
  const shape = otherShape(x.shape, pool);
  return {
    name: "reshape",
    options: [shape],
    ownership: "view",
    run: (x) => T.reshape(x, shape),
    shadow: (x) => shaped(x, shape),
  };
});

const permute: Maker = step((x, pool) => {
  const order = pool.chance(0.1) ? [...x.shape.keys()] : shuffled(pool, x.shape.length);
  const turned = order.map((axis) => x.shape[axis]!);
  return {
    name: "permute",
    options: [order],
    ownership: "view",
    run: (x) => T.permute(x, order),
    shadow: (x) => {
      if (order.every((axis, i) => axis === i)) return x;
      const own = denseStrides(x.shape);
      return strided(
        x,
        turned,
        order.map((axis) => own[axis]!),
      );
    },
  };
});

const slice: Maker = step((x, pool) => {
  const ranges = x.shape.map((size) => {
    if (pool.chance(0.4)) return null;
    const start = pool.random(size + 1);
    const stop = start + pool.random(size - start + 1);
    // The same range, counted from the end.
    const [from, to] =
      pool.chance(0.3) && start > 0 && start < size && stop < size ? [start - size, stop - size] : [start, stop];
    return [from, to, 1 + pool.random(3)] as const;
  });
  return {
    name: "slice",
    options: [ranges],
    ownership: "view",
    run: (x) => T.slice(x, ranges),
    shadow: (x) => {
      const own = denseStrides(x.shape);
      let offset = 0;
      const strides = [...own];
      const shape = x.shape.map((size, axis) => {
        const [from, to, by] = ranges[axis] ?? [0, size, 1];
        const start = from < 0 ? from + size : from;
        const stop = Math.max(start, to < 0 ? to + size : to);
        offset += start * own[axis]!;
        strides[axis] = own[axis]! * by;
        return Math.ceil((stop - start) / by);
      });
      return shape.join() === x.shape.join() ? x : strided(x, shape, strides, offset);
    },
  };
}, hasAxis);

const select: Maker = step((x, pool) => {
  const axis = pool.random(x.shape.length);
  const size = x.shape[axis]!;
  if (size === 0) return undefined;
  const at = pool.random(size);
  return {
    name: "select",
    options: [axis, at],
    ownership: "view",
    run: (x) => T.select(x, axis, at),
    shadow: (x) => {
      const own = denseStrides(x.shape);
      const others = <V>(list: readonly V[]): V[] => list.filter((_, i) => i !== axis);
      return strided(x, others(x.shape), others(own), at * own[axis]!);
    },
  };
}, hasAxis);

const flip: Maker = step((x, pool) => {
  const axes = someAxes(pool, x.shape.length);
  return {
    name: "flip",
    options: [axes],
    ownership: "view",
    run: (x) => T.flip(x, axes),
    shadow: (x) => {
      if (x.data.length === 0) return x;
      const own = denseStrides(x.shape);
      const offset = axes.reduce((sum, axis) => sum + (x.shape[axis]! - 1) * own[axis]!, 0);
      return strided(
        x,
        x.shape,
        own.map((stride, axis) => (axes.includes(axis) ? -stride : stride)),
        offset,
      );
    },
  };
}, hasAxis);

const expand: Maker = step((x, pool) => {
  const shape = x.shape.map((size) => (size === 1 ? pool.random(6) : size));
  if (pool.chance(0.3)) shape.unshift(1 + pool.random(3));
  if (numel(shape) > SMALL || shape.length > 5) return undefined;
  return {
    name: "expand",
    options: [shape],
    ownership: "view",
    run: (x) => T.expand(x, shape),
    shadow: (x) => expandTo(x, shape),
  };
}, isSmall);

const roll: Maker = step((x, pool) => {
  const axis = pool.random(x.shape.length);
  const size = x.shape[axis]!;
  const shift = pool.random(7) - 3;
  return {
    name: "roll",
    options: [shift, axis],
    ownership: "own",
    run: (x) => T.roll(x, shift, axis),
    shadow: (x) => {
      if (size === 0 || shift % size === 0) return x;
      const { to } = groups(
        x.shape,
        [...x.shape.keys()].filter((other) => other !== axis),
      );
      const stride = denseStrides(x.shape)[axis]!;
      // `to` is the position along the axis.
      return pick(
        x.shape,
        [x],
        indices(x.shape).map((at, i) => at + (((to[i]! - shift + 2 * size * 3) % size) - to[i]!) * stride),
      );
    },
  };
}, hasAxis);

const pad: Maker = step((x, pool) => {
  const padding = x.shape
    .map(() => [pool.random(4) - 1, pool.random(3)] as const)
    .map(([before, after], axis) => [x.shape[axis] === 0 ? Math.max(0, before) : before, after] as const);
  const value = pool.random(3);
  const shape = x.shape.map((size, axis) => size + padding[axis]![0] + padding[axis]![1]);
  if (numel(shape) > SMALL) return undefined;
  const cropped = padding.every(([before]) => before <= 0) && padding.every(([, after]) => after === 0);
  return {
    name: "pad",
    options: [padding, { value }],
    ownership: cropped ? "view" : "own",
    run: (x) => T.pad(x, padding, { value }),
    shadow: (x) => {
      if (padding.every(([before, after]) => before === 0 && after === 0)) return x;
      const own = denseStrides(x.shape);
      const start = padding.map(([before]) => before);
      const inside = indices(shape, own, -start.reduce((sum, before, axis) => sum + before * own[axis]!, 0));
      const axes = shape.map(
        (_, axis) =>
          groups(
            shape,
            [...shape.keys()].filter((other) => other !== axis),
          ).to,
      );
      const at = inside.map((index, i) =>
        axes.every((to, axis) => to[i]! >= start[axis]! && to[i]! < start[axis]! + x.shape[axis]!) ? index : -1,
      );
      return pick(shape, [x], at, { fill: x.dtype === "bool" ? Number(value !== 0) : value });
    },
  };
}, smallWithAxis);

/** Joins shadows along an axis by definition. */
function joined(parts: readonly Shadow[], axis: number): Shadow {
  const shape = replaced(
    parts[0]!.shape,
    axis,
    parts.reduce((sum, x) => sum + x.shape[axis]!, 0),
  );
  const along = groups(
    shape,
    [...shape.keys()].filter((other) => other !== axis),
  ).to;
  const size = numel(shape);
  const [at, which] = [new Int32Array(size), new Uint8Array(size)];
  const inner = numel(shape.slice(axis + 1));
  for (let i = 0; i < size; i++) {
    let position = along[i]!;
    let k = 0;
    while (position >= parts[k]!.shape[axis]!) position -= parts[k++]!.shape[axis]!;
    const outer = Math.floor(i / (inner * shape[axis]!));
    which[i] = k;
    at[i] = (outer * parts[k]!.shape[axis]! + position) * inner + (i % inner);
  }
  const dtype = parts.some((x) => x.dtype === "f32") ? "f32" : parts.some((x) => x.dtype === "i32") ? "i32" : "bool";
  return pick(shape, parts, at, { which, dtype });
}

const cat: Maker = (pool) => {
  const first = pool.find(smallWithAxis);
  if (first === undefined) return undefined;
  const { shape } = pool.at(first);
  const axis = pool.random(shape.length);
  const fits = (x: Shadow): boolean =>
    isSmall(x) && x.shape.length === shape.length && x.shape.every((size, i) => i === axis || size === shape[i]);
  const args = [first];
  for (let i = pool.random(4); i > 0; i--) args.push(pool.chance(0.3) ? first : pool.find(fits)!);
  return {
    args,
    call: {
      text: (...xs) => `cat([${xs.join(", ")}], ${axis})`,
      ownership: "own",
      run: (...xs) => T.cat(xs, axis),
      shadow: (...xs) => (xs.length === 1 ? xs[0]! : joined(xs, axis)),
    },
  };
};

const stack: Maker = (pool) => {
  const first = pool.find(isSmall);
  if (first === undefined) return undefined;
  const { shape } = pool.at(first);
  if (shape.length > 4) return undefined;
  const axis = pool.random(shape.length + 1);
  const second = pool.chance(0.4) ? first : pool.find((x) => x.shape.join() === shape.join())!;
  const wide = [...shape.slice(0, axis), 1, ...shape.slice(axis)];
  return {
    args: [first, second],
    call: {
      text: (...xs) => `stack([${xs.join(", ")}], ${axis})`,
      ownership: "open",
      run: (...xs) => T.stack(xs, axis),
      shadow: (...xs) =>
        joined(
          xs.map((x) => reshaped(x, wide)),
          axis,
        ),
    },
  };
};

const split: Maker = step((x, pool) => {
  const axis = pool.random(x.shape.length);
  const size = x.shape[axis]!;
  const first = pool.random(size + 1);
  return {
    name: "split",
    options: [[first, size - first], axis],
    results: 2,
    run: (x) => T.split(x, [first, size - first], axis),
    shadow: (x) => {
      const own = denseStrides(x.shape);
      const whole = joint(x);
      return [0, first].map((start, i) =>
        strided(whole, replaced(x.shape, axis, i === 0 ? first : size - first), own, start * own[axis]!),
      );
    },
  };
}, hasAxis);

const repeat: Maker = step((x, pool) => {
  const repeats = x.shape.map(() => 1 + pool.random(2));
  if (x.shape.length < 4 && pool.chance(0.3)) repeats.unshift(1 + pool.random(2));
  const padded = [...repeats.slice(x.shape.length).map(() => 1), ...x.shape];
  const shape = padded.map((size, axis) => size * repeats[axis]!);
  if (numel(shape) > SMALL) return undefined;
  return {
    name: "repeat",
    options: [repeats],
    run: (x) => T.repeat(x, repeats),
    shadow: (x) => {
      const paired = reshaped(
        x,
        padded.flatMap((size) => [1, size]),
      );
      return reshaped(
        expandTo(
          paired,
          padded.flatMap((size, axis) => [repeats[axis]!, size]),
        ),
        shape,
      );
    },
  };
}, smallWithAxis);

/** An index of rows: any i32 value whose numbers are such. */
function indexFor(pool: Pool, rows: number, fits: (x: Shadow) => boolean): number | undefined {
  return pool.find((x) => x.dtype === "i32" && isSmall(x) && fits(x) && inRange(x, rows));
}

function inRange(x: Shadow, rows: number): boolean {
  return x.data.every((row) => row >= 0 && row < rows);
}

const rowsOf =
  (name: "indexSelect" | "embedding"): Maker =>
  (pool) => {
    const x = pool.find((x) => smallWithAxis(x));
    if (x === undefined) return undefined;
    const { shape } = pool.at(x);
    const axis = name === "embedding" ? 0 : pool.random(shape.length);
    const index = indexFor(pool, shape[axis]!, (i) => name === "embedding" || i.shape.length === 1);
    if (index === undefined) return undefined;
    if ((pool.at(x).data.length / Math.max(1, shape[axis]!)) * pool.at(index).data.length > SMALL) return undefined;
    return {
      args: [x, index],
      call: {
        text: (x, i) => (name === "embedding" ? `embedding(${x}, ${i})` : `indexSelect(${x}, ${axis}, ${i})`),
        ownership: "own",
        run: (x, i) => (name === "embedding" ? T.embedding(x!, i!) : T.indexSelect(x!, axis, i!)),
        shadow: (x, i) => {
          if (!inRange(i!, shape[axis]!)) throw new Invalid("no such row");
          const inner = numel(shape.slice(axis + 1));
          const outer = numel(shape.slice(0, axis));
          const at: number[] = [];
          for (let o = 0; o < outer; o++)
            for (const row of i!.data) for (let k = 0; k < inner; k++) at.push((o * shape[axis]! + row) * inner + k);
          return pick([...shape.slice(0, axis), ...i!.shape, ...shape.slice(axis + 1)], [x!], Int32Array.from(at));
        },
      },
    };
  };

/** Elements of x along an axis, at the positions of an index of the same shape elsewhere. */
export function gathered(x: Shadow, axis: number, index: Shadow): Shadow {
  const own = denseStrides(x.shape);
  if (!inRange(index, x.shape[axis]!)) throw new Invalid("no such row");
  const base = indices(
    index.shape,
    own.map((stride, i) => (i === axis ? 0 : stride)),
  );
  return pick(
    index.shape,
    [x],
    base.map((at, i) => at + index.data[i]! * own[axis]!),
  );
}

const gather: Maker = (pool) => {
  const x = pool.find((x) => smallWithAxis(x));
  if (x === undefined) return undefined;
  const { shape } = pool.at(x);
  const axis = pool.random(shape.length);
  const fits = (i: Shadow): boolean =>
    i.shape.length === shape.length && i.shape.every((size, k) => k === axis || size <= shape[k]!);
  const index = indexFor(pool, shape[axis]!, fits);
  if (index === undefined) return undefined;
  return {
    args: [x, index],
    call: {
      text: (x, i) => `gather(${x}, ${axis}, ${i})`,
      ownership: "open",
      run: (x, i) => T.gather(x!, axis, i!),
      shadow: (x, i) => gathered(x!, axis, i!),
    },
  };
};

/** Ops that give back what they are given, and copies. */
const sames: Maker = step((_, pool) => {
  const same = (x: Shadow): Shadow => x;
  const cut = (x: Shadow): Shadow => {
    if (x.spent !== "no") throw new Invalid("left open");
    return flows(x) ? detached(x) : x;
  };
  return [
    { name: "contiguous", run: T.contiguous, shadow: same },
    {
      name: "dropout",
      options: [{ p: 0 }],
      run: (x: T.Tensor) => T.dropout(x, { p: 0, rng: new T.Rng(0) }),
      shadow: same,
    },
    { name: "clone", ownership: "own" as const, run: T.clone, shadow: (x: Shadow) => reshaped(x, x.shape) },
    { name: "detach", run: T.detach, shadow: cut },
  ][pool.random(4)]!;
});

/** A constant of the device's own making, of a value's shape. */
const filled: Maker = step((_, pool) => {
  const value = pool.random(4);
  const dtype = pool.chance(0.5) ? "f32" : "i32";
  return {
    name: "full",
    options: [value, dtype],
    ownership: "own",
    run: (x) => x.device.full(x.shape, value, { dtype }),
    shadow: (x) => constant(x.shape, dtype, new Float64Array(x.data.length).fill(value)),
  };
});

export const VIEWS: readonly Maker[] = [reshape, permute, slice, select, flip, expand];
export const MOVES: readonly Maker[] = [
  ...VIEWS,
  ...VIEWS,
  roll,
  pad,
  cat,
  cat,
  stack,
  split,
  repeat,
  rowsOf("indexSelect"),
  rowsOf("embedding"),
  gather,
  sames,
  sames,
  filled,
];
