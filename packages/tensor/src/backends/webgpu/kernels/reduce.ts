import type { ReduceCall, View } from "../../../backend.ts";
import { denseLayout } from "../../../layout.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import { elementType, gridStride, rowReductions, rowThreads } from "./wgsl.ts";

/** Below this many outputs a long axis is cut into parts that are reduced side by side. */
const FEW_OUTPUTS = 64;
const LONG_AXIS = 4096;
const PARTS = 64;

interface Template {
  readonly kind: "sum" | "max" | "min";
  readonly type: "f32" | "i32" | "u32";
  readonly wide: boolean;
}

/** Both kernels see an input as (outer, n, inner), axis n cut into parts of `length` elements. */
const UNIFORMS = {
  outputs: "u32",
  inner: "u32",
  parts: "u32",
  n: "u32",
  length: "u32",
  outerStride: "u32",
  innerStride: "u32",
  step: "u32",
  first: "u32",
  zero: "u32",
} as const;

function combine({ kind, type }: Template, a: string, b: string): string {
  if (kind === "sum") return `${a} + ${b}`;
  return type === "f32" ? `pick(${a}, ${b})` : `${kind}(${a}, ${b})`;
}

/** `pick` on values that may be NaN, for scalars and vectors of four. */
function nanAware({ kind, type, wide }: Template): string {
  if (type !== "f32" || kind === "sum") return "";
  const define = (f: string, u: string): string =>
    `fn pick(a: ${f}, b: ${f}) -> ${f} {
  let nan = ((bitcast<${u}>(a) & ${u}(0x7fffffffu)) > ${u}(0x7f800000u)) | ((bitcast<${u}>(b) & ${u}(0x7fffffffu)) > ${u}(0x7f800000u));
  return select(${kind}(a, b), a + b, nan);
}`;
  return wide
    ? `${define("f32", "u32")}\n${define("vec4f", "vec4u").replace("fn pick", "fn pick4")}`
    : define("f32", "u32");
}

/** One workgroup reduces one part of one row; its threads take every WG-th element, then join. */
const rowKernel = kernel("reduce-row", (t: Template, gpu) => {
  const { subgroups, source } = rowReductions(gpu);
  const vector = t.wide ? elementType(t.type, 4) : t.type;
  const step = t.wide && t.type === "f32" && t.kind !== "sum" ? `pick4(acc, v)` : combine(t, "acc", "v");
  const start = t.kind === "sum" ? `${vector}(0)` : `x[base + begin * u.step]`;
  const fold = t.wide ? `${combine(t, combine(t, "acc.x", "acc.y"), combine(t, "acc.z", "acc.w"))}` : "acc";
  // min is max of the negated values, so that one joining function serves both.
  const join =
    t.kind === "sum" ? "rowSum(own, local)" : t.kind === "max" ? "rowMax(own, local)" : "-rowMax(-own, local)";
  return {
    inputs: { x: vector },
    outputs: { y: t.type },
    uniforms: UNIFORMS,
    workgroupSize: rowThreads(gpu),
    subgroups,
    source: `${source}
${nanAware(t)}
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  for (var o = group.x + group.y * groups.x; o < u.outputs; o += groups.x * groups.y) {
    let part = (o / u.inner) % u.parts;
    let base = u.first + (o / (u.inner * u.parts)) * u.outerStride + (o % u.inner) * u.innerStride;
    let begin = part * u.length;
    let end = min(u.n, begin + u.length);
    var acc = ${start};
    for (var i = begin + local; i < end; i += WG) {
      let v = x[base + i * u.step];
      acc = ${step};
    }
    let own = ${fold};
    let total = ${join};
    if (local == 0u) { y[o] = total; }
  }
}`,
  };
});

/** One thread reduces one output, or four neighbouring ones, walking down the axis. */
const columnKernel = kernel("reduce-column", (t: Template) => {
  const vector = t.wide ? elementType(t.type, 4) : t.type;
  const step = t.wide && t.type === "f32" && t.kind !== "sum" ? "pick4(acc, v)" : combine(t, "acc", "v");
  const first = t.kind === "sum" ? `${vector}(0)` : "x[base + begin * u.step]";
  return {
    inputs: { x: vector },
    outputs: { y: vector },
    uniforms: UNIFORMS,
    workgroupSize: 16,
    source: `${nanAware(t)}
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var o = id.x + id.y * groups.x * WG; o < u.outputs; o += groups.x * groups.y * WG) {
    let part = (o / u.inner) % u.parts;
    let base = u.first + (o / (u.inner * u.parts)) * u.outerStride + (o % u.inner) * u.innerStride;
    let begin = part * u.length;
    let end = min(u.n, begin + u.length);
    var acc = ${first};
    for (var i = begin; i < end; i++) {
      let v = x[base + i * u.step];
      acc = ${step};
    }
    y[o] = acc;
  }
}`,
  };
});

/** One thread finds one position: the first of the largest (or smallest) values; a NaN beats every number. */
const argKernel = kernel("reduce-arg", ({ type, largest }: { type: "f32" | "i32" | "u32"; largest: boolean }) => ({
  inputs: { x: type },
  outputs: { y: "i32" },
  uniforms: {
    outputs: "u32",
    inner: "u32",
    n: "u32",
    outerStride: "i32",
    innerStride: "i32",
    step: "i32",
    first: "i32",
  },
  workgroupSize: 16,
  source: `
fn nan(v: ${type}) -> bool { return ${type === "f32" ? "(bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u" : "false"}; }
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var o = id.x + id.y * groups.x * WG; o < u.outputs; o += groups.x * groups.y * WG) {
    let base = u.first + i32(o / u.inner) * u.outerStride + i32(o % u.inner) * u.innerStride;
    var best = x[base];
    var at = 0u;
    for (var i = 1u; i < u.n; i++) {
      let v = x[base + i32(i) * u.step];
      if (!nan(best) && (nan(v) || v ${largest ? ">" : "<"} best)) { best = v; at = i; }
    }
    y[o] = i32(at);
  }
}`,
}));

/** Reduces the middle axis of a view of three axes. */
export function reduce(gpu: Gpu, call: ReduceCall): void {
  const [outer, n, inner] = call.input.layout.shape as [number, number, number];
  const [outerStride, step, innerStride] = call.input.layout.strides as [number, number, number];
  const outputs = outer * inner;
  if (outputs === 0) return;
  const type = call.input.dtype === "bool" ? "u32" : (call.input.dtype as "f32" | "i32" | "u32");
  const from = call.input.layout.offset;
  if (call.kind === "argmax" || call.kind === "argmin") {
    argKernel.run(gpu, {
      template: { type, largest: call.kind === "argmax" },
      operands: { x: call.input, y: call.out },
      uniforms: { outputs, inner, n, outerStride, innerStride, step, first: from },
      workgroups: gridStride(gpu, outputs, 16),
    });
    return;
  }
  const parts = outputs < FEW_OUTPUTS && n >= LONG_AXIS ? PARTS : 1;
  if (parts > 1) {
    const length = Math.ceil(Math.ceil(n / parts) / 4) * 4;
    const used = Math.ceil(n / length);
    const storage = gpu.pool.take(outer * used * inner * 4, "partial reduction");
    const partial: View = { storage, layout: denseLayout([outer, used, inner]), dtype: call.out.dtype };
    run(gpu, call.kind, type, call.input, partial, used, length);
    run(gpu, call.kind, type, partial, call.out, 1, used);
    storage.release();
    return;
  }
  run(gpu, call.kind, type, call.input, call.out, 1, n);
}

function run(
  gpu: Gpu,
  kind: "sum" | "max" | "min",
  type: "f32" | "i32" | "u32",
  input: View,
  out: View,
  parts: number,
  length: number,
): void {
  const [outer, n, inner] = input.layout.shape as [number, number, number];
  const [outerStride, step, innerStride] = input.layout.strides as [number, number, number];
  const from = input.layout.offset;
  const outputs = outer * parts * inner;
  // Joining across a workgroup is written for floats; whole numbers walk down their axis, one thread each.
  const columns = type !== "f32" || (inner >= 4 && innerStride === 1) || n < 8;
  if (columns) {
    const wide = innerStride === 1 && [inner, step, outerStride, from].every((value) => value % 4 === 0);
    const d = wide ? 4 : 1;
    columnKernel.run(gpu, {
      template: { kind, type, wide },
      operands: { x: input, y: out },
      uniforms: {
        outputs: outputs / d,
        inner: inner / d,
        parts,
        n,
        length,
        outerStride: outerStride / d,
        innerStride,
        step: step / d,
        first: from / d,
        zero: 0,
      },
      workgroups: gridStride(gpu, outputs / d, 16),
    });
    return;
  }
  const wide = step === 1 && [n, outerStride, innerStride, from, length].every((value) => value % 4 === 0);
  const d = wide ? 4 : 1;
  rowKernel.run(gpu, {
    template: { kind, type, wide },
    operands: { x: input, y: out },
    uniforms: {
      outputs,
      inner,
      parts,
      n: n / d,
      length: length / d,
      outerStride: outerStride / d,
      innerStride: innerStride / d,
      step: wide ? 1 : step,
      first: from / d,
      zero: 0,
    },
    workgroups: gridStride(gpu, outputs * 64, 64),
  });
}
