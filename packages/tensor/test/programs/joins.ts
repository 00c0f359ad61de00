import * as T from "../../src/index.ts";
import { denseStrides, numel } from "../../src/shape.ts";
import { hasAxis, isSmall, type Maker, type Pool, replaced, SMALL, smallWithAxis, step } from "./draw.ts";
import { common, expandTo, groups, Invalid, indices, joint, pick, reshaped, type Shadow, strided } from "./shadow.ts";

/*
 * Ops that put tensors together, take them apart, or take elements by an index of the host or of the device.
 */

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
  let { dtype } = parts[0]!;
  for (const x of parts) dtype = common({ dtype, shape }, x);
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

/** An index of rows: whole numbers that are such. */
function indexFor(pool: Pool, rows: number, fits: (x: Shadow) => boolean): number | undefined {
  return pool.find((x) => (x.dtype === "i32" || x.dtype === "u32") && isSmall(x) && fits(x) && inRange(x, rows));
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

export const JOINS: readonly Maker[] = [
  cat,
  cat,
  stack,
  split,
  repeat,
  rowsOf("indexSelect"),
  rowsOf("embedding"),
  gather,
];
