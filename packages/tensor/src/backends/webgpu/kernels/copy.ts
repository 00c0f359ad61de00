import type { CopyCall, View } from "../../../backend.ts";
import { collapse } from "../../../layout.ts";
import { numel } from "../../../shape.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import { elementType, gridStride, MAX_RANK, unravel, unrolled } from "./wgsl.ts";

const WG = 64;

/** Copies between any two layouts of one shape. */
export function copy(gpu: Gpu, { out, input }: CopyCall): void {
  if (numel(out.layout.shape) === 0) return;
  const { shape, strides } = collapse(out.layout.shape, [input.layout.strides, out.layout.strides]);
  if (shape.length > MAX_RANK) {
    alongShortest(shape, strides, (shape, offsets, strides) => {
      const part = (view: View, i: 0 | 1): View => ({
        ...view,
        layout: { shape, strides: strides[i]!, offset: view.layout.offset + offsets[i]! },
      });
      copy(gpu, { input: part(input, 0), out: part(out, 1) });
    });
    return;
  }
  const [from, to] = strides as [number[], number[]];
  const rows = out.dtype === "f32" ? transposedAxis(shape, from, to) : undefined;
  if (rows === undefined) move(gpu, input, out, shape, from, to);
  else transpose(gpu, input, out, shape, from, to, rows);
}

/** Visits the positions of the shortest axis: what is left of the others there, and where each operand begins. */
function alongShortest(
  shape: readonly number[],
  strides: readonly (readonly number[])[],
  visit: (shape: number[], offsets: number[], strides: number[][]) => void,
): void {
  const axis = shape.indexOf(Math.min(...shape));
  const without = (values: readonly number[]): number[] => values.filter((_, i) => i !== axis);
  for (let at = 0; at < shape[axis]!; at++) {
    visit(
      without(shape),
      strides.map((own) => at * own[axis]!),
      strides.map(without),
    );
  }
}

/** `wide` moves vectors of four, `splat` repeats one value four times, `single` moves values. */
type Mode = "wide" | "splat" | "single";

/** One thread copies one element (or vector) at a time between two strided layouts. */
const moveKernel = kernel(
  "copy",
  ({ type, vector, mode, rank }: { type: string; vector: string; mode: Mode; rank: number }) => ({
    inputs: { x: mode === "wide" ? vector : type },
    outputs: { y: mode === "single" ? type : vector },
    uniforms: {
      count: "u32",
      rank: "u32",
      first: "u32",
      to: "u32",
      shape: "array<vec4u, 2>",
      strides: "array<vec4i, 4>",
    },
    workgroupSize: WG,
    source: `
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x + id.y * groups.x * WG; i < u.count; i += groups.x * groups.y * WG) {
    ${unravel(rank, 1, [0, 1])}
    y[at1 + u.to] = ${mode === "splat" ? vector : ""}(x[at0 + u.first]);
  }
}`,
  }),
);

function move(
  gpu: Gpu,
  input: View,
  out: View,
  shape: readonly number[],
  from: readonly number[],
  to: readonly number[],
): void {
  const last = shape.length - 1;
  const aligned = (offset: number, strides: readonly number[]): boolean =>
    offset % 4 === 0 && strides.every((stride, axis) => axis === last || stride % 4 === 0);
  const vectorOut = shape[last]! % 4 === 0 && to[last] === 1 && aligned(out.layout.offset, to);
  let mode: Mode = "single";
  if (vectorOut && from[last] === 1 && aligned(input.layout.offset, from)) mode = "wide";
  else if (vectorOut && from[last] === 0) mode = "splat";
  // The innermost axis counts vectors where vectors move; other strides then count vectors too, on the side that has them.
  const quarter = (values: readonly number[], vectors: boolean): number[] =>
    values.map((value, axis) => (vectors && axis !== last ? value / 4 : value));
  const lead = shape.length === 1 ? [0] : [];
  const sizes = [
    ...lead.map(() => 1),
    ...shape.map((size, axis) => (mode !== "single" && axis === last ? size / 4 : size)),
  ];
  const steps = [
    [...lead, ...quarter(from, mode === "wide")],
    [...lead, ...quarter(to, mode !== "single")],
  ];
  const count = numel(sizes);
  moveKernel.run(gpu, {
    template: {
      type: elementType(out.dtype, 1),
      vector: elementType(out.dtype, 4),
      mode,
      rank: unrolled(sizes.length),
    },
    operands: { x: input, y: out },
    uniforms: {
      count,
      rank: sizes.length,
      first: input.layout.offset / (mode === "wide" ? 4 : 1),
      to: out.layout.offset / (mode === "single" ? 1 : 4),
      shape: sizes,
      strides: steps.flatMap((own) => Array.from({ length: 8 }, (_, axis) => own[axis] ?? 0)),
    },
    workgroups: gridStride(gpu, count, WG),
  });
}

/** The axis that lies side by side in the input while the last one does in the output, where moving tiles pays. */
function transposedAxis(shape: readonly number[], from: readonly number[], to: readonly number[]): number | undefined {
  const last = shape.length - 1;
  if (last < 1 || to[last] !== 1 || from[last]! <= 1 || shape[last]! < 4) return undefined;
  const axis = from.findIndex((stride, i) => stride === 1 && i !== last && shape[i]! >= 4);
  return axis < 0 || [...from, ...to].some((stride) => stride < 0) ? undefined : axis;
}

/**
 * Swaps two axes of a batch. One thread moves a 4 x 4 tile: four vectors in where the input's rows are aligned, else sixteen
 * values, and four vectors out where the output's rows are.
 */
const transposeKernel = kernel("transpose", ({ wideIn, wideOut }: { wideIn: boolean; wideOut: boolean }) => ({
  inputs: { x: wideIn ? "vec4f" : "f32" },
  outputs: { y: wideOut ? "vec4f" : "f32" },
  uniforms: {
    rows: "u32",
    cols: "u32",
    tilesX: "u32",
    tilesY: "u32",
    tiles: "u32",
    colStep: "u32",
    rowStep: "u32",
    first: "u32",
    to: "u32",
    batchAxes: "u32",
    batch: "array<vec4u, 2>",
    batchIn: "array<vec4u, 2>",
    batchOut: "array<vec4u, 2>",
  },
  workgroupSize: WG,
  source: `
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  // y[batch, row, col] lies at row * rowStep + col, x[batch, row, col] at col * colStep + row.
  for (var i = id.x + id.y * groups.x * WG; i < u.tiles; i += groups.x * groups.y * WG) {
    let line = quotient(i, u.tilesX);
    let col = (i - line * u.tilesX) * 4u;
    var rest = quotient(line, u.tilesY);
    let row = (line - rest * u.tilesY) * 4u;
    var source = u.first + row;
    var target_ = u.to + col + row * u.rowStep;
    for (var axis = 0u; axis < u.batchAxes; axis++) {
      let size = u.batch[axis >> 2u][axis & 3u];
      let over = quotient(rest, size);
      let c = rest - over * size;
      rest = over;
      source += c * u.batchIn[axis >> 2u][axis & 3u];
      target_ += c * u.batchOut[axis >> 2u][axis & 3u];
    }
    var m: mat4x4f;
    for (var c = 0u; c < 4u; c++) {
      let at = source + min(col + c, u.cols - 1u) * u.colStep;
      ${
        wideIn
          ? "m[c] = x[at / 4u];"
          : "let last = u.rows - 1u - row; m[c] = vec4f(x[at], x[at + min(1u, last)], x[at + min(2u, last)], x[at + min(3u, last)]);"
      }
    }
    let t = transpose(m);
    for (var r = 0u; r < min(4u, u.rows - row); r++) {
      let at = target_ + r * u.rowStep;
      ${wideOut ? "y[at / 4u] = t[r];" : "for (var c = 0u; c < min(4u, u.cols - col); c++) { y[at + c] = t[r][c]; }"}
    }
  }
}`,
}));

function transpose(
  gpu: Gpu,
  input: View,
  out: View,
  shape: readonly number[],
  from: readonly number[],
  to: readonly number[],
  rowAxis: number,
): void {
  const last = shape.length - 1;
  // Innermost first: the order in which the kernel peels coordinates off.
  const batch = shape.flatMap((_, axis) => (axis === rowAxis || axis === last ? [] : [axis])).reverse();
  const batchIn = batch.map((axis) => from[axis]!);
  const batchOut = batch.map((axis) => to[axis]!);
  const sizes = batch.map((axis) => shape[axis]!);
  const rows = shape[rowAxis]!;
  const cols = shape[last]!;
  const [colStep, rowStep] = [from[last]!, to[rowAxis]!];
  const [first, target] = [input.layout.offset, out.layout.offset];
  const tilesX = Math.ceil(cols / 4);
  const tilesY = Math.ceil(rows / 4);
  const tiles = tilesX * tilesY * numel(sizes);
  const whole = (values: readonly number[]): boolean => values.every((value) => value % 4 === 0);
  transposeKernel.run(gpu, {
    // A last vector may read past its row, never past the rows of its tile that are stored.
    template: { wideIn: whole([first, colStep, ...batchIn]), wideOut: whole([target, cols, rowStep, ...batchOut]) },
    operands: { x: input, y: out },
    uniforms: {
      rows,
      cols,
      tilesX,
      tilesY,
      tiles,
      colStep,
      rowStep,
      first,
      to: target,
      batchAxes: batch.length,
      batch: sizes,
      batchIn,
      batchOut,
    },
    workgroups: gridStride(gpu, tiles, WG),
  });
}
