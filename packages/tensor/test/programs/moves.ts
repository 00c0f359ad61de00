import * as T from "../../src/index.ts";
import { denseStrides, numel, type Shape } from "../../src/shape.ts";
import { hasAxis, isSmall, type Maker, type Pool, SMALL, shuffled, smallWithAxis, someAxes, step } from "./draw.ts";
import { JOINS } from "./joins.ts";
import {
  constant,
  detached,
  expandTo,
  flows,
  groups,
  Invalid,
  indices,
  pick,
  reshaped,
  type Shadow,
  strided,
} from "./shadow.ts";

/*
 * Ops on one tensor that only move elements: views, shifts, copies, and those that give back what they are given.
 */

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
      shadow: (x: Shadow): Shadow => {
        if (x.dtype !== "f32") throw new Invalid("no floats");
        return x;
      },
    },
    { name: "clone", ownership: "own" as const, run: T.clone, shadow: (x: Shadow) => reshaped(x, x.shape) },
    { name: "detach", run: T.detach, shadow: cut },
  ][pool.random(4)]!;
});

/** A constant of the device's own making, of a value's shape. */
const filled: Maker = step((_, pool) => {
  const value = pool.random(4);
  const dtype = (["f32", "f32", "i32", "u32", "f16"] as const)[pool.random(pool.half ? 5 : 4)]!;
  return {
    name: "full",
    options: [value, dtype],
    ownership: "own",
    run: (x) => x.device.full(x.shape, value, { dtype }),
    shadow: (x) => constant(x.shape, dtype, new Float64Array(x.data.length).fill(value)),
  };
});

const VIEWS: readonly Maker[] = [reshape, permute, slice, select, flip, expand];

export const MOVES: readonly Maker[] = [...VIEWS, ...VIEWS, roll, pad, sames, sames, filled, ...JOINS];
