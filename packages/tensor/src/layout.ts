import { denseStrides, numel, type Shape, sameShape } from "./shape.ts";

/** Where the elements of a view lie in its storage, in elements. A stride may be 0 (expanded) or negative (flipped). */
export interface Layout {
  readonly shape: Shape;
  readonly strides: readonly number[];
  readonly offset: number;
}

export function denseLayout(shape: Shape): Layout {
  return { shape, strides: denseStrides(shape), offset: 0 };
}

/** Row-major without gaps, from any offset. Strides of axes of size 1 do not matter. */
export function isDense(layout: Layout): boolean {
  let stride = 1;
  for (let axis = layout.shape.length - 1; axis >= 0; axis--) {
    const size = layout.shape[axis]!;
    if (size !== 1 && layout.strides[axis] !== stride) return false;
    stride *= size;
  }
  return true;
}

export function permuteLayout(layout: Layout, dims: readonly number[]): Layout {
  return {
    shape: dims.map((dim) => layout.shape[dim]!),
    strides: dims.map((dim) => layout.strides[dim]!),
    offset: layout.offset,
  };
}

/** Broadcasts to `shape` by strides of 0; the caller has checked that it fits. */
export function expandLayout(layout: Layout, shape: Shape): Layout {
  if (sameShape(layout.shape, shape)) return layout;
  const added = shape.length - layout.shape.length;
  const strides = shape.map((size, axis) => {
    if (axis < added) return 0;
    const own = layout.shape[axis - added]!;
    return own === size ? layout.strides[axis - added]! : 0;
  });
  return { shape, strides, offset: layout.offset };
}

/** The same elements under another shape without copying, or undefined where the strides do not allow it. */
export function reshapeLayout(layout: Layout, shape: Shape): Layout | undefined {
  if (isDense(layout)) return { shape, strides: denseStrides(shape), offset: layout.offset };
  if (numel(shape) === 0) return undefined;
  const strides = new Array<number>(shape.length).fill(0);
  const sizes: number[] = [];
  const steps: number[] = [];
  for (let axis = 0; axis < layout.shape.length; axis++) {
    if (layout.shape[axis] === 1) continue;
    sizes.push(layout.shape[axis]!);
    steps.push(layout.strides[axis]!);
  }
  let at = 0;
  let axis = 0;
  while (at < sizes.length) {
    // One run of old axes that together hold as many elements as a run of new axes.
    let oldCount = sizes[at]!;
    let newCount = 1;
    let oldEnd = at + 1;
    const first = axis;
    while (newCount !== oldCount) {
      if (newCount < oldCount) newCount *= shape[axis++]!;
      else oldCount *= sizes[oldEnd++]!;
    }
    for (let i = at; i + 1 < oldEnd; i++) {
      if (steps[i] !== steps[i + 1]! * sizes[i + 1]!) return undefined;
    }
    let stride = steps[oldEnd - 1]!;
    for (let i = axis - 1; i >= first; i--) {
      strides[i] = stride;
      stride *= shape[i]!;
    }
    at = oldEnd;
  }
  return { shape, strides, offset: layout.offset };
}

/**
 * The order of the axes in which a layout is row-major without gaps from its first element on; undefined where there is none, as of slices and of
 * what is broadcast.
 */
export function rowMajorOrder(layout: Layout): number[] | undefined {
  const { shape, strides, offset } = layout;
  if (offset !== 0) return undefined;
  const own = shape.map((_, axis) => axis);
  if (isDense(layout)) return own;
  // Axes of size 1 lie anywhere; among equal strides there is one that is longer than 1 at most.
  const key = (axis: number): number => (shape[axis] === 1 ? Number.POSITIVE_INFINITY : strides[axis]!);
  const order = own.sort((a, b) => (key(a) === key(b) ? a - b : key(b) - key(a)));
  return isDense(permuteLayout(layout, order)) ? order : undefined;
}

/** Several layouts of one shape with neighbouring axes joined wherever all of them allow it. */
export interface Collapsed {
  readonly shape: number[];
  /** One list of strides for each layout. */
  readonly strides: number[][];
}

/** Drops axes of size 1 and merges axes that are contiguous in every layout, so that kernels see the fewest axes. */
export function collapse(shape: Shape, strides: readonly (readonly number[])[]): Collapsed {
  // Called for every launch, and mostly for what lies in one run: loops, which leave nothing behind.
  const inner = innerRun(shape, strides);
  if (inner !== undefined) return inner;
  const outShape: number[] = [];
  const outStrides: number[][] = [];
  for (let i = 0; i < strides.length; i++) outStrides.push([]);
  for (let axis = 0; axis < shape.length; axis++) {
    const size = shape[axis]!;
    if (size === 1) continue;
    const last = outShape.length - 1;
    let joins = last >= 0;
    for (let i = 0; joins && i < strides.length; i++) joins = outStrides[i]![last] === strides[i]![axis]! * size;
    if (joins) outShape[last]! *= size;
    else outShape.push(size);
    for (let i = 0; i < strides.length; i++) outStrides[i]![joins ? last : last + 1] = strides[i]![axis]!;
  }
  if (outShape.length === 0) {
    outShape.push(1);
    for (const s of outStrides) s.push(0);
  }
  return { shape: outShape, strides: outStrides };
}

/** What all axes merge into, where they do. */
function innerRun(shape: Shape, strides: readonly (readonly number[])[]): Collapsed | undefined {
  let last = shape.length - 1;
  while (last >= 0 && shape[last] === 1) last--;
  if (last < 0) return { shape: [1], strides: strides.map(() => [0]) };
  let count = shape[last]!;
  for (let axis = last - 1; axis >= 0; axis--) {
    const size = shape[axis]!;
    if (size === 1) continue;
    for (let i = 0; i < strides.length; i++) if (strides[i]![axis] !== strides[i]![last]! * count) return undefined;
    count *= size;
  }
  return { shape: [count], strides: strides.map((own) => [own[last]!]) };
}
