import type { CopyCall, View } from "../../../backend.ts";
import type { DType } from "../../../dtype.ts";
import { type Expr, leaf } from "../../../expr/expr.ts";
import { collapse } from "../../../layout.ts";
import { numel } from "../../../shape.ts";
import type { WebGPU } from "../device.ts";
import { kernel } from "../kernel.ts";
import { pointwise } from "./pointwise.ts";
import { elementType, gridStride, MAX_RANK, unravel, unrolled } from "./wgsl.ts";

const WG = 64;

interface CopyTemplate {
  readonly type: string;
  readonly rank: number;
}

/** One thread copies one element at a time between two strided layouts. */
const copyKernel = kernel("copy", ({ type, rank }: CopyTemplate) => ({
  inputs: { x: type },
  outputs: { y: type },
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
    y[at1 + u.to] = x[at0 + u.first];
  }
}`,
}));

const identity: Record<DType, Expr> = {
  f32: leaf(0, "f32"),
  f16: leaf(0, "f16"),
  i32: leaf(0, "i32"),
  u32: leaf(0, "u32"),
  bool: leaf(0, "bool"),
};

/** Copies between layouts; into a dense whole buffer it is the identity tree, which vectorises. */
export function copy(gpu: WebGPU, { out, input }: CopyCall): void {
  const count = numel(out.layout.shape);
  if (count === 0) return;
  const { shape, strides } = collapse(out.layout.shape, [input.layout.strides, out.layout.strides]);
  if (shape.length > 8) throw new Error("internal: copy over more than 8 axes that do not merge");
  const alone = collapse(out.layout.shape, [out.layout.strides]);
  if (out.layout.offset === 0 && alone.shape.length === 1 && alone.strides[0]![0] === 1 && shape.length <= MAX_RANK) {
    const swap = transposed(shape, strides[0]!);
    if (swap && out.dtype === "f32") {
      transpose(gpu, input, out, shape, strides[0]!);
      return;
    }
    pointwise(gpu, { out, tree: identity[out.dtype], leaves: [input], params: [] });
    return;
  }
  // Whole vectors move where both sides have them side by side.
  const last = shape.length - 1;
  const wide =
    out.dtype !== "f16" &&
    shape[last]! % 4 === 0 &&
    [input, out].every(
      (view, i) =>
        view.layout.offset % 4 === 0 &&
        strides[i]![last] === 1 &&
        strides[i]!.every((stride, axis) => axis === last || stride % 4 === 0),
    );
  const quarter = (values: readonly number[]): number[] => values.map((v, axis) => (axis === last ? v : v / 4));
  const lead = shape.length === 1 ? [1] : [];
  const sizes = [...lead, ...(wide ? shape.map((size, axis) => (axis === last ? size / 4 : size)) : shape)];
  const steps = (wide ? strides.map(quarter) : strides).map((own) => [...lead.map(() => 0), ...own]);
  const divisor = wide ? 4 : 1;
  copyKernel.run(gpu, {
    template: { type: elementType(out.dtype, wide ? 4 : 1), rank: unrolled(shape.length) },
    operands: { x: input, y: out },
    uniforms: {
      count: count / divisor,
      rank: sizes.length,
      first: input.layout.offset / divisor,
      to: out.layout.offset / divisor,
      shape: sizes,
      strides: [0, 1].flatMap((i) => Array.from({ length: 8 }, (_, axis) => steps[i]![axis] ?? 0)),
    },
    workgroups: gridStride(gpu, count / divisor, WG),
  });
}

/** True when the last two axes of a dense output are read the other way round: a batch of matrix transposes. */
function transposed(shape: readonly number[], strides: readonly number[]): boolean {
  const rank = shape.length;
  if (rank < 2 || rank > 3) return false;
  return strides[rank - 2] === 1 && strides[rank - 1]! > 1 && shape[rank - 2]! >= 8 && shape[rank - 1]! >= 8;
}

/**
 * One thread moves a 4 x 4 tile: four vectors in where rows of the input are aligned, else sixteen values, and four vectors
 * out where rows of the output are.
 */
const transposeKernel = kernel("transpose", ({ wideIn, wideOut }: { wideIn: boolean; wideOut: boolean }) => ({
  inputs: { x: wideIn ? "vec4f" : "f32" },
  outputs: { y: wideOut ? "vec4f" : "f32" },
  uniforms: { rows: "u32", cols: "u32", tilesX: "u32", tiles: "u32", stride: "u32", batchStride: "u32", first: "u32" },
  workgroupSize: WG,
  source: `
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  // y[batch, row, col] = x[batch * batchStride + col * stride + row]
  for (var i = id.x + id.y * groups.x * WG; i < u.tiles; i += groups.x * groups.y * WG) {
    let tilesY = (u.rows + 3u) / 4u;
    let col = (i % u.tilesX) * 4u;
    let rest = i / u.tilesX;
    let row = (rest % tilesY) * 4u;
    let batch = rest / tilesY;
    let base = u.first + batch * u.batchStride + row;
    var m: mat4x4f;
    for (var c = 0u; c < 4u; c++) {
      let at = base + min(col + c, u.cols - 1u) * u.stride;
      ${
        wideIn
          ? "m[c] = x[at / 4u];"
          : "let last = u.rows - 1u - row; m[c] = vec4f(x[at], x[at + min(1u, last)], x[at + min(2u, last)], x[at + min(3u, last)]);"
      }
    }
    let t = transpose(m);
    for (var r = 0u; r < 4u; r++) {
      if (row + r < u.rows) {
        let to = (batch * u.rows + row + r) * u.cols + col;
        ${wideOut ? "y[to / 4u] = t[r];" : "for (var c = 0u; c < min(4u, u.cols - col); c++) { y[to + c] = t[r][c]; }"}
      }
    }
  }
}`,
}));

function transpose(gpu: WebGPU, input: View, out: View, shape: readonly number[], strides: readonly number[]): void {
  const rank = shape.length;
  const rows = shape[rank - 2]!;
  const cols = shape[rank - 1]!;
  const batch = rank === 3 ? shape[0]! : 1;
  const stride = strides[rank - 1]!;
  const batchStride = rank === 3 ? strides[0]! : 0;
  const offset = input.layout.offset;
  const tilesX = Math.ceil(cols / 4);
  const tiles = tilesX * Math.ceil(rows / 4) * batch;
  transposeKernel.run(gpu, {
    template: {
      wideIn: [rows, stride, batchStride, offset].every((value) => value % 4 === 0),
      wideOut: cols % 4 === 0,
    },
    operands: { x: input, y: out },
    uniforms: { rows, cols, tilesX, tiles, stride, batchStride, first: offset },
    workgroups: gridStride(gpu, tiles, WG),
  });
}
