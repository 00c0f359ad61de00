import {
  checkChoice,
  checkFunction,
  checkNumber,
  checkOptions,
  checkTensor,
  checkTensors,
  checkWhole,
  checkWholes,
  wrongArgument,
} from "../arguments.ts";
import { composed, gradEnabled, noGrad, record, recordTogether, within } from "../autograd.ts";
import { real, waitable } from "../deferred.ts";
import { type DType, fits, isWhole, promote } from "../dtype.ts";
import { DTypeError, describe, ShapeError, shown } from "../errors.ts";
import type { Layout } from "../layout.ts";
import { alias, deviceOf, empty, filled, launched } from "../making.ts";
import { transientResult } from "../scope.ts";
import { normalizeDim, type Shape, sameShape } from "../shape.ts";
import { naming, type Tensor } from "../tensor.ts";
import { cast } from "./pointwise.ts";
import { expand, flip, narrow, reshape, slice, unsqueeze } from "./view.ts";

/** Joins tensors along an axis; all other sizes agree. The result is of their common type. @throws DTypeError for i32 beside u32 */
export function cat(tensors: readonly Tensor[], dim: number): Tensor {
  const op = naming.op ?? "cat";
  checkTensors(op, "tensors", tensors);
  const first = tensors[0];
  if (!first) throw new ShapeError(`${op}: tensors needs at least one tensor`);
  const axis = normalizeDim(op, dim, first.rank);
  if (tensors.length === 1) return first;
  const device = deviceOf(op, ...tensors);
  let length = 0;
  for (const x of tensors) {
    if (x.rank !== first.rank || x.shape.some((size, i) => i !== axis && size !== first.shape[i])) {
      throw new ShapeError(
        `${op}: ${describe(x)} does not join ${describe(first)} along dim ${dim}: other sizes differ`,
      );
    }
    length += x.shape[axis]!;
  }
  let dtype: DType | undefined = first.dtype;
  for (const x of tensors) dtype = dtype && promote(dtype, x.dtype);
  if (!dtype)
    throw new DTypeError(`${op}: i32 and u32 have no common type, got ${tensors.map(describe).join(", ")}; cast one`);
  const parts = tensors.map((x) => cast(x, dtype));
  const starts: number[] = [];
  const out = filled(device, replaced(first.shape, axis, length), dtype, "cat", (whole) => {
    let start = 0;
    for (const x of parts) {
      starts.push(start);
      if (x.size > 0) {
        const offset = start * whole.layout.strides[axis]!;
        const target = { ...whole, layout: { shape: x.shape, strides: whole.layout.strides, offset } };
        x.value("cat").into(target);
      }
      start += x.shape[axis]!;
    }
  });
  return record(
    out,
    "cat",
    ...parts.map((x, i) => {
      const size = x.shape[axis]!;
      return [x, (dy: Tensor) => narrow(dy, axis, starts[i]!, size)] as const;
    }),
  );
}

/**
 * Joins parts that are computed one after the other, all of one shape and type: each is in its place, and what it was made with is given back, before the next
 * one begins. As `cat` of what the functions give.
 */
export function catEach(parts: readonly (() => Tensor)[], dim: number): Tensor {
  if (!Array.isArray(parts) || parts.length === 0)
    throw wrongArgument("catEach", "parts", "an array of at least one function", parts);
  parts.forEach((part, i) => {
    checkFunction("catEach", `parts[${i}]`, part);
  });
  const compute = (part: () => Tensor, i: number): Tensor => {
    const x = part();
    checkTensor("catEach", `the result of parts[${i}]`, x);
    return x;
  };
  if (gradEnabled()) {
    const computed = parts.map((part, i) => transientResult(() => compute(part, i)));
    return within("catEach", () => cat(computed, dim));
  }
  let whole: Tensor | undefined;
  for (const [i, part] of parts.entries()) {
    const joined = whole;
    whole = transientResult(() => {
      const x = compute(part, i);
      const axis = normalizeDim("catEach", dim, x.rank);
      const size = x.shape[axis]!;
      const all = joined ?? empty(x.device, replaced(x.shape, axis, size * parts.length), x.dtype, "catEach");
      if (!sameShape(all.shape, replaced(x.shape, axis, size * parts.length)) || x.dtype !== all.dtype) {
        throw new ShapeError(`catEach: ${describe(x)} of parts[${i}] is no part of ${describe(all)}`);
      }
      deviceOf("catEach", all, x);
      const { layout, ...view } = all.view("catEach");
      if (x.size > 0) {
        const offset = i * size * layout.strides[axis]!;
        x.value("catEach").into({ ...view, layout: { shape: x.shape, strides: layout.strides, offset } });
      }
      return all;
    });
  }
  return whole!;
}

function replaced(shape: Shape, axis: number, size: number): number[] {
  return shape.map((own, i) => (i === axis ? size : own));
}

/** Joins tensors of one shape along a new axis. */
export function stack(tensors: readonly Tensor[], dim = 0): Tensor {
  checkTensors("stack", "tensors", tensors);
  const [first] = tensors;
  if (first) normalizeDim("stack", dim, first.rank + 1);
  for (const x of tensors) {
    if (!sameShape(x.shape, first!.shape)) {
      throw new ShapeError(`stack: ${describe(x)} is not of the shape of ${describe(first!)}`);
    }
  }
  return composed("stack", () =>
    cat(
      tensors.map((x) => unsqueeze(x, dim)),
      dim,
    ),
  );
}

/** Cuts an axis into pieces of the given sizes (or all of one size, the last one smaller). The pieces are views. */
export function split(x: Tensor, sizes: number | readonly number[], dim: number): Tensor[] {
  checkTensor("split", "x", x);
  const axis = normalizeDim("split", dim, x.rank);
  if (typeof sizes === "number") checkWhole("split", "sizes", sizes, 1);
  else checkWholes("split", "sizes", sizes, 0);
  const length = x.shape[axis]!;
  const pieces =
    typeof sizes === "number"
      ? Array.from({ length: Math.ceil(length / sizes) }, (_, i) => Math.min(sizes, length - i * sizes))
      : sizes;
  if (pieces.reduce((total, size) => total + size, 0) !== length) {
    throw new ShapeError(`split: sizes [${pieces.join(", ")}] do not add up to dim ${dim} of ${describe(x)}`);
  }
  let start = 0;
  const parts = within("split", () =>
    noGrad(() =>
      pieces.map((size) => {
        const piece = narrow(x, axis, start, size);
        start += size;
        // A piece that is everything would be x itself, which must not get a second history.
        return piece === x ? alias(x) : piece;
      }),
    ),
  );
  // The parts' gradients meet, so that x gets all of them joined in one copy instead of a sum of padded ones.
  const shapes = parts.map((part) => part.shape);
  if (x.requiresGrad) {
    recordTogether(parts, "split", [x], [], (dys, give) => {
      const like = dys.find((dy) => dy !== undefined)!;
      const all = dys.map((dy, i) => dy ?? like.device.zeros(shapes[i]!, { dtype: like.dtype }));
      give(0, cat(all, axis));
    });
  }
  return parts;
}

/** Cuts an axis into `chunks` pieces of equal size, the last one smaller where it does not divide. */
export function chunk(x: Tensor, chunks: number, dim: number): Tensor[] {
  checkTensor("chunk", "x", x);
  const axis = normalizeDim("chunk", dim, x.rank);
  checkWhole("chunk", "chunks", chunks, 1);
  return within("chunk", () => split(x, Math.max(1, Math.ceil(x.shape[axis]! / chunks)), axis));
}

/** How `pad` fills what is new. */
export interface PadOptions {
  readonly mode?: "constant" | "reflect";
  /** The constant, a number of x's type; default 0. */
  readonly value?: number;
}

/**
 * Widens (or, where negative, crops) each axis by [before, after] positions. `reflect` mirrors without repeating the edge.
 * @throws ShapeError when a mirrored part is as long as its axis.
 */
export function pad(x: Tensor, padding: readonly (readonly [number, number])[], options: PadOptions = {}): Tensor {
  checkPadding(x, padding, options);
  return composed("pad", () => {
    const cropped = slice(
      x,
      padding.map(([before, after], axis) => [Math.max(0, -before), x.shape[axis]! - Math.max(0, -after), 1]),
    );
    const grown = padding.map(([before, after]) => [Math.max(0, before), Math.max(0, after)] as const);
    if (grown.every(([before, after]) => before === 0 && after === 0)) return cropped;
    return options.mode === "reflect" ? reflect(cropped, grown) : surround(cropped, grown, options.value ?? 0);
  });
}

function checkPadding(x: Tensor, padding: readonly (readonly [number, number])[], options: PadOptions): void {
  checkTensor("pad", "x", x);
  checkOptions("pad", options, ["mode", "value"]);
  const { mode = "constant", value = 0 } = options;
  checkChoice("pad", "mode", mode, ["constant", "reflect"]);
  if (!Number.isNaN(value)) checkNumber("pad", "value", value);
  if (!Array.isArray(padding) || !padding.every((both) => Array.isArray(both) && both.length === 2)) {
    throw new ShapeError(`pad: padding has to be a pair [before, after] for each axis, got ${shown(padding)}`);
  }
  if (padding.length !== x.rank) throw new ShapeError(`pad: padding has ${padding.length} pairs for ${describe(x)}`);
  padding.forEach((both, axis) => {
    checkWholes("pad", `padding[${axis}]`, both);
    const size = x.shape[axis]!;
    if (size + Math.min(0, both[0]) + Math.min(0, both[1]) < 0) {
      throw new ShapeError(`pad: padding ${shown(both)} crops more than dim ${axis} of ${describe(x)} has`);
    }
    if (mode === "reflect" && Math.max(...both) > 0 && Math.max(...both) >= size + Math.min(0, ...both)) {
      throw new ShapeError(`pad: reflecting ${shown(both)} needs more than dim ${axis} of ${describe(x)} has`);
    }
  });
}

function surround(x: Tensor, padding: readonly (readonly [number, number])[], value: number): Tensor {
  if (isWhole(x.dtype) && !(Number.isInteger(value) && fits(value, x.dtype))) {
    throw new DTypeError(`pad: value ${value} is no number of x ${describe(x)}`);
  }
  const shape = x.shape.map((size, axis) => size + padding[axis]![0] + padding[axis]![1]);
  const out = x.device.full(shape, value, { dtype: x.dtype, label: "pad" });
  const whole = out.view();
  const offset = whole.layout.strides.reduce((sum, stride, axis) => sum + stride * padding[axis]![0], 0);
  if (x.size > 0) {
    const target = { ...whole, layout: { shape: x.shape, strides: whole.layout.strides, offset } };
    x.value("pad").into(target);
  }
  const inside = x.shape.map((size, axis) => [padding[axis]![0], padding[axis]![0] + size, 1] as const);
  return record(out, "pad", [x, (dy) => slice(dy, inside)]);
}

function reflect(x: Tensor, padding: readonly (readonly [number, number])[]): Tensor {
  return padding.reduce((result, [before, after], axis) => {
    const size = result.shape[axis]!;
    if (before === 0 && after === 0) return result;
    const head = flip(narrow(result, axis, 1, before), axis);
    const tail = flip(narrow(result, axis, size - 1 - after, after), axis);
    return cat([...(before > 0 ? [head] : []), result, ...(after > 0 ? [tail] : [])], axis);
  }, x);
}

/** Rotates along axes: element i goes to i + shift. */
export function roll(x: Tensor, shifts: number | readonly number[], dims: number | readonly number[]): Tensor {
  checkTensor("roll", "x", x);
  const by = typeof shifts === "number" ? [shifts] : shifts;
  const along = typeof dims === "number" ? [dims] : dims;
  checkWholes("roll", "shifts", by);
  checkWholes("roll", "dims", along);
  if (by.length !== along.length) throw new ShapeError(`roll: ${by.length} shifts for ${along.length} dims`);
  const total = new Array<number>(x.rank).fill(0);
  along.forEach((dim, i) => {
    total[normalizeDim("roll", dim, x.rank)]! += by[i]!;
  });
  const cuts = total.map((shift, axis) =>
    x.shape[axis] === 0 ? 0 : ((shift % x.shape[axis]!) + x.shape[axis]!) % x.shape[axis]!,
  );
  if (cuts.every((cut) => cut === 0)) return x;
  const out = rolled(x, cuts);
  return record(out, "roll", [
    x,
    (dy) =>
      roll(
        dy,
        by.map((shift) => -shift),
        along,
      ),
  ]);
}

function rolled(x: Tensor, cuts: readonly number[]): Tensor {
  const { device, shape, dtype } = x;
  const { backend } = device;
  const view = waitable(x.lazy("roll"));
  if (backend.roll && dtype !== "f16" && x.rank <= 8 && view.layout.strides.every((stride) => stride >= 0)) {
    const begins = cuts.map((cut, axis) => (cut === 0 ? 0 : shape[axis]! - cut));
    return launched(device, {
      ...{ shape, dtype, label: "roll", reads: [view] },
      record: (out, epilogue) => backend.roll!({ input: real(view), out, begins, ...(epilogue && { epilogue }) }),
    });
  }
  const source = real(view);
  return filled(device, shape, dtype, "roll", (target) => {
    for (const block of blocks(shape, cuts)) {
      const place = (layout: Layout, starts: readonly number[]): Layout => ({
        shape: block.shape,
        strides: layout.strides,
        offset: layout.strides.reduce((sum, stride, axis) => sum + stride * starts[axis]!, layout.offset),
      });
      backend.copy({
        out: { ...target, layout: place(target.layout, block.to) },
        input: { ...source, layout: place(source.layout, block.at) },
      });
    }
  });
}

/** The blocks that a rotation moves as a whole: two for each rotated axis. */
function blocks(shape: Shape, cuts: readonly number[]): { shape: number[]; at: number[]; to: number[] }[] {
  let result = [{ shape: [] as number[], at: [] as number[], to: [] as number[] }];
  shape.forEach((size, axis) => {
    const cut = cuts[axis]!;
    const runs =
      cut === 0
        ? [{ length: size, at: 0, to: 0 }]
        : [
            { length: size - cut, at: 0, to: cut },
            { length: cut, at: size - cut, to: 0 },
          ];
    result = result.flatMap((block) =>
      runs.map((run) => ({
        shape: [...block.shape, run.length],
        at: [...block.at, run.at],
        to: [...block.to, run.to],
      })),
    );
  });
  return result;
}

/** Tiles: axis i of the result is `repeats[i]` copies of axis i; new axes go in front. */
export function repeat(x: Tensor, repeats: readonly number[]): Tensor {
  checkTensor("repeat", "x", x);
  checkWholes("repeat", "repeats", repeats, 0);
  if (repeats.length < x.rank) throw new ShapeError(`repeat: ${repeats.length} repeats for ${describe(x)}`);
  const own = [...repeats.slice(x.rank).map(() => 1), ...x.shape];
  const paired = own.flatMap((size) => [1, size]);
  const tiled = own.flatMap((size, axis) => [repeats[axis]!, size]);
  return composed("repeat", () =>
    reshape(
      expand(reshape(x, paired), tiled),
      own.map((size, axis) => size * repeats[axis]!),
    ),
  );
}
