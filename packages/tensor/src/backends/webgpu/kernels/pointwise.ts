import type { CopyCall, PointwiseCall, View } from "../../../backend.ts";
import type { DType } from "../../../dtype.ts";
import { type Expr, keyOf, leaf } from "../../../expr/expr.ts";
import { type Collapsed, collapse } from "../../../layout.ts";
import { numel } from "../../../shape.ts";
import type { WebGPU } from "../device.ts";
import { kernel } from "../kernel.ts";
import { aliases, aliasOf, printWgsl } from "../print-wgsl.ts";
import { elementType, gridStride } from "./wgsl.ts";

/** Axes that survive collapsing; more are folded by the caller. */
const MAX_RANK = 8;
const WG = 64;

/** How a leaf is read: at the output's own index, as one value for all, or through its strides. */
type Access = "dense" | "scalar" | "strided";

interface Template {
  readonly key: string;
  readonly tree: Expr;
  readonly params: number;
  readonly width: 1 | 4;
  readonly rank: number;
  readonly out: DType;
  readonly leaves: readonly { readonly dtype: DType; readonly access: Access; readonly splat: boolean }[];
}

/**
 * One thread computes `width` neighbouring outputs at a time and strides over the rest of the grid. The output is dense, so
 * the output index is a loop counter; a strided leaf turns it into coordinates, axis by axis from the innermost.
 */
const pointwiseKernel = kernel("pointwise", ({ template: t }: { key: string; template: Template }) => {
  const load = (index: number): string => {
    const { dtype, access, splat } = t.leaves[index]!;
    const offset = `u.offsets[${index >> 2}][${index & 3}]`;
    const wide = t.width === 4 && access !== "scalar" && !splat;
    const at = access === "dense" ? `i + ${offset}` : access === "scalar" ? offset : `at${index} + ${offset}`;
    const raw = `x${index}[${wide ? (access === "dense" ? `i + ${offset} / 4u` : `(${at}) / 4u`) : at}]`;
    const value = dtype === "f16" && !wide ? `f32(${raw})` : raw;
    return dtype === "bool" ? `(U(${value}) != U(0u))` : `${aliasOf(dtype)}(${value})`;
  };
  const param = (index: number, dtype: DType): string => {
    const slot = `u.params[${index >> 2}][${index & 3}]`;
    return { F: `F(${slot})`, I: `I(i32(${slot}))`, U: `U(u32(${slot}))`, B: `B(${slot} != 0.0)` }[aliasOf(dtype)];
  };
  const printed = printWgsl(t.tree, load, param);
  const strided = t.leaves.flatMap((leafInfo, index) => (leafInfo.access === "strided" ? [index] : []));
  const inputs: Record<string, string> = {};
  t.leaves.forEach(({ dtype, access, splat }, index) => {
    inputs[`x${index}`] = elementType(dtype, t.width === 4 && access !== "scalar" && !splat ? 4 : 1);
  });
  const stored = t.out === "bool" ? `select(U(0u), U(1u), ${printed.result})` : printed.result;
  const outType = elementType(t.out, t.width);
  const value = t.out === "f16" ? `${outType}(${stored})` : stored;
  const coordinates = strided.length === 0 ? "" : unravel(t.rank, t.width, strided);
  return {
    inputs,
    outputs: { y: outType },
    uniforms: {
      count: "u32",
      zero: "u32",
      rank: "u32",
      offsets: "array<vec4u, 2>",
      shape: "array<vec4u, 2>",
      strides: `array<vec4i, ${Math.max(1, t.leaves.length * 2)}>`,
      params: `array<vec4f, ${Math.max(1, Math.ceil(t.params / 4))}>`,
    },
    workgroupSize: WG,
    source: `${aliases(t.width)}
${printed.functions}
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x + id.y * groups.x * WG; i < u.count; i += groups.x * groups.y * WG) {
${coordinates}
${printed.statements}
    y[i] = ${value};
  }
}`,
  };
});

/** Two axes, the shape of a bias, get code of their own; more share one variant that loops, so that pipelines stay few. */
function unrolled(rank: number): number {
  return rank <= 2 ? 2 : MAX_RANK;
}

/** Coordinates of output `i`, and with them the position of every strided leaf. */
function unravel(rank: number, width: number, leaves: readonly number[]): string {
  const lines = [`var rest = i${width === 4 ? " * 4u" : ""};`];
  for (const index of leaves) lines.push(`var at${index} = 0u;`);
  if (rank > 2) {
    lines.push("for (var axis = u.rank; axis > 0u; axis--) {", "let d = axis - 1u;");
    lines.push("let size = u.shape[d >> 2u][d & 3u]; let c = rest % size; rest = rest / size;");
    for (const index of leaves) {
      lines.push(`at${index} += c * bitcast<u32>(u.strides[${index * 2}u + (d >> 2u)][d & 3u]);`);
    }
    lines.push("}");
    return lines.join("\n");
  }
  for (let axis = rank - 1; axis >= 0; axis--) {
    const size = `u.shape[${axis >> 2}][${axis & 3}]`;
    lines.push(axis === 0 ? "let c0 = rest;" : `let c${axis} = rest % ${size}; rest = rest / ${size};`);
    for (const index of leaves) {
      lines.push(`at${index} += c${axis} * bitcast<u32>(u.strides[${index * 2 + (axis >> 2)}][${axis & 3}]);`);
    }
  }
  return lines.join("\n");
}

const keys = new WeakMap<Expr, string>();

function treeKey(tree: Expr): string {
  let key = keys.get(tree);
  if (key === undefined) {
    key = keyOf(tree);
    keys.set(tree, key);
  }
  return key;
}

/** Evaluates a tree over views of one shape into a dense result. */
export function pointwise(gpu: WebGPU, { out, tree, leaves, params }: PointwiseCall): void {
  const count = numel(out.layout.shape);
  if (count === 0) return;
  const collapsed = collapse(out.layout.shape, [out.layout.strides, ...leaves.map((view) => view.layout.strides)]);
  const rank = collapsed.shape.length;
  if (rank > MAX_RANK) throw new Error(`internal: pointwise over ${rank} axes that do not merge (at most ${MAX_RANK})`);
  const access = leaves.map((_, i) => accessOf(collapsed, i + 1));
  const width = canVectorise(collapsed, leaves, access) ? 4 : 1;
  const info = leaves.map((view, i) => ({
    dtype: view.dtype,
    access: access[i]!,
    splat: access[i] === "strided" && collapsed.strides[i + 1]!.at(-1) === 0,
  }));
  // Leaves without strides need no coordinates, whatever the rank: one variant serves them all.
  const usedRank = access.includes("strided") ? unrolled(rank) : 1;
  const shapeOfLeaves = info.map((l) => `${l.dtype}${l.access[1]}${l.splat ? "s" : ""}`).join();
  const template: Template = {
    key: "",
    tree,
    params: params.length,
    width,
    rank: usedRank,
    out: out.dtype,
    leaves: info,
  };
  const key = `${treeKey(tree)}/${shapeOfLeaves}/${width}/${usedRank}/${out.dtype}/${params.length}`;
  const threads = Math.ceil(count / width);
  const operands: Record<string, View> = { y: out };
  leaves.forEach((view, i) => {
    operands[`x${i}`] = view;
  });
  const strides: number[] = [];
  for (let i = 0; i < Math.max(1, leaves.length); i++) {
    const own = collapsed.strides[i + 1] ?? [];
    const padded = usedRank === 2 && rank === 1 ? [0, ...own] : own;
    for (let axis = 0; axis < 8; axis++) strides.push(padded[axis] ?? 0);
  }
  pointwiseKernel.run(gpu, {
    template: new KeyedTemplate(key, template),
    operands,
    uniforms: {
      count: threads,
      zero: 0,
      rank,
      offsets: leaves.map((view) => view.layout.offset),
      shape: usedRank === 2 && rank === 1 ? [1, ...collapsed.shape] : collapsed.shape,
      strides,
      params,
    },
    workgroups: gridStride(gpu, threads, WG),
  });
}

/** A template whose key is computed here, since a tree has no short text of its own. */
class KeyedTemplate {
  readonly key: string;
  declare readonly template: Template;

  constructor(key: string, template: Template) {
    this.key = key;
    // Not enumerable: the kernel's cache joins the values it sees.
    Object.defineProperty(this, "template", { value: template, enumerable: false });
  }
}

function accessOf(collapsed: Collapsed, index: number): Access {
  const strides = collapsed.strides[index]!;
  if (strides.every((stride) => stride === 0)) return "scalar";
  const own = collapsed.strides[0]!;
  return strides.every((stride, axis) => stride === own[axis]) ? "dense" : "strided";
}

/** Four outputs at a time, when every leaf offers its four side by side or has one value for them. */
function canVectorise(collapsed: Collapsed, leaves: readonly View[], access: readonly Access[]): boolean {
  const last = collapsed.shape.length - 1;
  const anyStrided = access.includes("strided");
  if (anyStrided && collapsed.shape[last]! % 4 !== 0) return false;
  return leaves.every((view, i) => {
    if (access[i] === "scalar") return true;
    const aligned = view.layout.offset % 4 === 0;
    if (access[i] === "dense") return aligned;
    const strides = collapsed.strides[i + 1]!;
    if (strides[last] === 0) return true;
    return aligned && strides[last] === 1 && strides.slice(0, -1).every((stride) => stride % 4 === 0);
  });
}

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
