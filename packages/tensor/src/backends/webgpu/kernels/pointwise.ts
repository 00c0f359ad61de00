import type { PointwiseCall, View } from "../../../backend.ts";
import { bytesPerElement, type DType } from "../../../dtype.ts";
import { type Expr, keyOf, signatureOf } from "../../../expr/expr.ts";
import { type Collapsed, collapse, denseLayout } from "../../../layout.ts";
import { numel } from "../../../shape.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import { aliases, aliasOf, printWgsl } from "../print-wgsl.ts";
import { copy } from "./copy.ts";
import { elementType, gridStride, MAX_RANK, unravel, unrolled } from "./wgsl.ts";

const WG = 64;

/** How a leaf is read: at the output's own index, as one value for all, through its strides; or it is the output before it is written. */
type Access = "dense" | "scalar" | "strided" | "out";

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
    const raw =
      access === "out"
        ? "y[i]"
        : `x${index}[${wide ? (access === "dense" ? `i + ${offset} / 4u` : `(${at}) / 4u`) : at}]`;
    const value = dtype === "f16" && !wide ? `f32(${raw})` : raw;
    return dtype === "bool" ? `(U(${value}) != U(0u))` : `${aliasOf(dtype)}(${value})`;
  };
  const param = (index: number, dtype: DType): string => {
    const slot = `u.params[${index >> 2}][${index & 3}]`;
    const of = { F: `bitcast<f32>(${slot})`, I: `bitcast<i32>(${slot})`, U: slot, B: `${slot} != 0u` };
    return `${aliasOf(dtype)}(${of[aliasOf(dtype)]})`;
  };
  const printed = printWgsl(t.tree, load, param);
  const strided = t.leaves.flatMap((leafInfo, index) => (leafInfo.access === "strided" ? [index] : []));
  const inputs: Record<string, string> = {};
  t.leaves.forEach(({ dtype, access, splat }, index) => {
    // A buffer is bound once: it cannot be read-only and written in one launch.
    if (access === "out") return;
    inputs[`x${index}`] = elementType(dtype, t.width === 4 && access !== "scalar" && !splat ? 4 : 1);
  });
  const stored = t.out === "bool" ? `select(U(0u), U(1u), ${printed.result})` : printed.result;
  const outType = elementType(t.out, t.width);
  // Rounded already where the tree ends in a cast to f16, as those of ops do; an adapter may round its own way else.
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
      params: `array<vec4u, ${Math.max(1, Math.ceil(t.params / 4))}>`,
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

const keys = new WeakMap<Expr, string>();

function treeKey(tree: Expr): string {
  let key = keys.get(tree);
  if (key === undefined) {
    key = keyOf(tree);
    keys.set(tree, key);
  }
  return key;
}

/** A leaf of at least so many elements that is read across its rows is transposed first. */
const WORTH_A_COPY = 4096;

/** Evaluates a tree over views of one shape into a dense result. */
export function pointwise(gpu: Gpu, call: PointwiseCall): void {
  if (numel(call.out.layout.shape) === 0) return;
  const copies: View[] = [];
  const { shape } = collapse(call.out.layout.shape, [
    call.out.layout.strides,
    ...call.leaves.map((view) => view.layout.strides),
  ]);
  const leaves = call.leaves.map((view) => {
    // More axes than the kernels know: dense copies have one.
    const tooMany = shape.length > MAX_RANK && view.layout.strides.some((stride) => stride !== 0);
    if (!tooMany && !readAcross(view)) return view;
    const layout = denseLayout(view.layout.shape);
    const storage = gpu.pool.take(numel(layout.shape) * bytesPerElement(view.dtype), "transposed operand");
    const dense: View = { storage, layout, dtype: view.dtype };
    copy(gpu, { out: dense, input: view });
    copies.push(dense);
    return dense;
  });
  evaluate(gpu, { ...call, leaves });
  for (const { storage } of copies) storage.release();
}

/** True for a view whose neighbours along the last axis lie apart, while those along another axis lie side by side. */
function readAcross({ layout, dtype }: View): boolean {
  if (dtype !== "f32" || numel(layout.shape) < WORTH_A_COPY) return false;
  const { shape, strides } = collapse(layout.shape, [layout.strides]);
  const own = strides[0]!;
  const last = own.at(-1)!;
  return last > 1 && own.includes(1) && !own.some((stride) => stride <= 0) && shape.at(-1)! >= 4;
}

function evaluate(gpu: Gpu, { out, tree, leaves, params }: PointwiseCall): void {
  const count = numel(out.layout.shape);
  const collapsed = collapse(out.layout.shape, [out.layout.strides, ...leaves.map((view) => view.layout.strides)]);
  const rank = collapsed.shape.length;
  const access = leaves.map(({ storage }, i) => (storage === out.storage ? "out" : accessOf(collapsed, i + 1)));
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
    if (access[i] !== "out") operands[`x${i}`] = view;
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
      params: wordsOf(params, signatureOf(tree).params),
    },
    workgroups: gridStride(gpu, threads, WG),
  });
}

const words = new Uint32Array(1);
const floats = new Float32Array(words.buffer);

/** The bits of numbers that are of these types. */
function wordsOf(params: readonly number[], types: readonly (DType | undefined)[]): number[] {
  return params.map((value, i) => {
    const type = types[i];
    if (type === "i32" || type === "u32" || type === "bool") words[0] = value;
    else floats[0] = value;
    return words[0]!;
  });
}

/** A template whose key is computed here, since a tree has no short text of its own: the kernel's cache sees the key alone. */
class KeyedTemplate {
  readonly key: string;
  readonly #template: Template;

  constructor(key: string, template: Template) {
    this.key = key;
    this.#template = template;
  }

  get template(): Template {
    return this.#template;
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
    if (access[i] === "scalar" || access[i] === "out") return true;
    const aligned = view.layout.offset % 4 === 0;
    if (access[i] === "dense") return aligned;
    const strides = collapsed.strides[i + 1]!;
    if (strides[last] === 0) return true;
    return aligned && strides[last] === 1 && strides.slice(0, -1).every((stride) => stride % 4 === 0);
  });
}
