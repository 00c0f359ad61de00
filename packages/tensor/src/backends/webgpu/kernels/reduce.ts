import type { ReduceCall, View } from "../../../backend.ts";
import { denseLayout, type Layout } from "../../../layout.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import type { Finish } from "./finish.ts";
import { finishing } from "./pointwise.ts";
import { elementType, gridStride, rowReductions, rowThreads, sumOver, type Terms } from "./wgsl.ts";

/**
 * Elements of an axis that are summed in one go. Longer ones are cut into parts, whose sums are summed in turn: so the additions in a
 * row stay few, whatever the length, and a sum of 20 million loses less than 1e-6 of what it is made of. A row has a workgroup to
 * itself, a column one thread.
 */
const ROW_PART = 16384;
const COLUMN_PART = 512;

type Type = "f32" | "i32" | "u32";

interface Template {
  readonly kind: "sum" | "max" | "min";
  readonly type: Type;
  /** The vectors that are read. */
  readonly wide: boolean;
  readonly finish: Finish;
}

/** Both kernels see an input as (also, outer, n, inner), axis n cut into `cuts` of `length` elements and the first into some of `alsoLength`. */
const UNIFORMS = {
  also: "u32",
  alsoStride: "u32",
  alsoLength: "u32",
  cuts: "u32",
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

/** WGSL that adds up a part of the axis, of each element of the axis in front. */
function overBoth(vector: string, terms: Terms): string {
  return `let alsoBegin = (part / u.cuts) * u.alsoLength;
    for (var also = alsoBegin; also < min(u.also, alsoBegin + u.alsoLength); also++) {
      let start = base + also * u.alsoStride;
      var sum = ${vector}(0);
      ${sumOver("sum", terms, (i) => `x[start + (${i}) * u.step]`)}
      acc += sum;
    }`;
}

/** One workgroup reduces one part of one row; its threads take every WG-th element, then join. */
const rowKernel = kernel("reduce-row", (t: Template, gpu) => {
  const { subgroups, source } = rowReductions(gpu);
  const vector = t.wide ? elementType(t.type, 4) : t.type;
  const step = t.wide && t.type === "f32" && t.kind !== "sum" ? `pick4(acc, v)` : combine(t, "acc", "v");
  const start = t.kind === "sum" ? `${vector}(0)` : `x[base + begin * u.step]`;
  const fold = t.wide ? `${combine(t, combine(t, "acc.x", "acc.y"), combine(t, "acc.z", "acc.w"))}` : "acc";
  const walk =
    t.kind === "sum"
      ? overBoth(vector, { from: "begin + local", to: "end", step: "WG", type: vector })
      : `for (var i = begin + local; i < end; i += WG) { let v = x[base + i * u.step]; acc = ${step}; }`;
  // min is max of the negated values, so that one joining function serves both.
  const join =
    t.kind === "sum" ? "rowSum(own, local)" : t.kind === "max" ? "rowMax(own, local)" : "-rowMax(-own, local)";
  return {
    inputs: { x: vector, ...t.finish.inputs },
    outputs: t.finish.outputs,
    uniforms: { ...UNIFORMS, ...t.finish.uniforms },
    workgroupSize: rowThreads(gpu),
    subgroups,
    source: `${source}
${nanAware(t)}
${t.finish.source}
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  for (var o = group.x + group.y * groups.x; o < u.outputs; o += groups.x * groups.y) {
    let part = (o / u.inner) % u.parts;
    let base = u.first + (o / (u.inner * u.parts)) * u.outerStride + (o % u.inner) * u.innerStride;
    let begin = (part % u.cuts) * u.length;
    let end = min(u.n, begin + u.length);
    var acc = ${start};
    ${walk}
    let own = ${fold};
    let total = ${join};
    if (local == 0u) { finish(o, total); }
  }
}`,
  };
});

/** One thread reduces one output, or four neighbouring ones, walking down the axis. */
const columnKernel = kernel("reduce-column", (t: Template) => {
  const vector = t.wide ? elementType(t.type, 4) : t.type;
  const step = t.wide && t.type === "f32" && t.kind !== "sum" ? "pick4(acc, v)" : combine(t, "acc", "v");
  const first = t.kind === "sum" ? `${vector}(0)` : "x[base + begin * u.step]";
  const walk =
    t.kind === "sum"
      ? overBoth(vector, { from: "begin", to: "end", step: "1u", type: vector })
      : `for (var i = begin; i < end; i++) { let v = x[base + i * u.step]; acc = ${step}; }`;
  return {
    inputs: { x: vector, ...t.finish.inputs },
    outputs: t.finish.outputs,
    uniforms: { ...UNIFORMS, ...t.finish.uniforms },
    workgroupSize: 16,
    source: `${nanAware(t)}
${t.finish.source}
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var o = id.x + id.y * groups.x * WG; o < u.outputs; o += groups.x * groups.y * WG) {
    let part = (o / u.inner) % u.parts;
    let base = u.first + (o / (u.inner * u.parts)) * u.outerStride + (o % u.inner) * u.innerStride;
    let begin = (part % u.cuts) * u.length;
    let end = min(u.n, begin + u.length);
    var acc = ${first};
    ${walk}
    ${t.wide && t.finish.width === 1 ? "for (var j = 0u; j < 4u; j++) { finish(o * 4u + j, acc[j]); }" : "finish(o, acc);"}
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

/** An input as (also, outer, n, inner). */
function fourAxes({ shape, strides, offset }: Layout) {
  const [also, outer, n, inner] = [1, ...shape].slice(-4) as [number, number, number, number];
  const [alsoStride, outerStride, step, innerStride] = [0, ...strides].slice(-4) as [number, number, number, number];
  return { also, outer, n, inner, alsoStride, outerStride, step, innerStride, from: offset };
}

/** So many elements of the axis in front are added up in a row. */
const MOST_ALSO = 64;

/** Reduces the middle axis of a view of three axes, or that and the first of four. */
export function reduce(gpu: Gpu, call: ReduceCall): void {
  const { also, outer, n, inner, outerStride, step, innerStride, from } = fourAxes(call.input.layout);
  const outputs = outer * inner;
  if (outputs === 0) return;
  const type = call.input.dtype === "bool" ? "u32" : (call.input.dtype as Type);
  if (call.kind === "argmax" || call.kind === "argmin") {
    argKernel.run(gpu, {
      template: { type, largest: call.kind === "argmax" },
      operands: { x: call.input, y: call.out },
      uniforms: { outputs, inner, n, outerStride, innerStride, step, first: from },
      workgroups: gridStride(gpu, outputs, 16),
    });
    return;
  }
  const { kind } = call;
  const length = partLength(gpu, call.input, type);
  const cuts = Math.ceil(n / length);
  // Rows of the axis in front are taken together as far as few additions in a row, and work for the device, allow.
  const busy = outputs >= (gpu.software ? 64 : 1024);
  const alsoLength = Math.min(also, busy ? MOST_ALSO : Math.max(1, Math.floor(ROW_PART / length)));
  const parts = cuts * Math.ceil(also / alsoLength);
  const part = { cuts, length, parts, alsoLength };
  if (parts === 1) {
    run(gpu, kind, type, call, part);
    return;
  }
  const storage = gpu.pool.take(outputs * parts * 4, "partial reduction");
  const partial: View = { storage, layout: denseLayout([outer, parts, inner]), dtype: call.out.dtype };
  try {
    run(gpu, kind, type, { input: call.input, out: partial }, part);
    reduce(gpu, { ...call, input: { ...partial, dtype: call.input.dtype } });
  } finally {
    storage.release();
  }
}

/** How much of the axis is reduced in one go. It depends on sizes and the device only, so that a result is the same every time. */
function partLength(gpu: Gpu, { layout }: View, type: Type): number {
  const { outer, n, inner } = fourAxes(layout);
  const { software } = gpu;
  // Where there are too few outputs to keep the device busy parts are shorter, as far as a second launch pays.
  const [shortest, longest, workers, wanted] = walksDown(layout, type)
    ? [software ? 256 : 64, COLUMN_PART, Math.ceil((outer * inner) / 4), software ? 1024 : 16384]
    : [2048, ROW_PART, outer * inner, software ? 64 : 1024];
  const length = Math.max(shortest, Math.min(longest, Math.ceil((n * workers) / wanted)));
  // In equal parts of whole vectors.
  return n < 4 * length ? n : Math.ceil(n / Math.ceil(n / length) / 4) * 4;
}

/** True where a thread walks down the axis. Joining across a workgroup is written for floats, and pays where rows are long. */
function walksDown(layout: Layout, type: Type): boolean {
  const { n, inner, innerStride } = fourAxes(layout);
  return type !== "f32" || (inner >= 4 && innerStride === 1) || n < 8;
}

function run(
  gpu: Gpu,
  kind: Template["kind"],
  type: Type,
  { input, out, epilogue }: Omit<ReduceCall, "kind">,
  { length, ...part }: { readonly [name in "cuts" | "length" | "parts" | "alsoLength"]: number },
): void {
  const { also, outer, n, inner, alsoStride, outerStride, step, innerStride, from } = fourAxes(input.layout);
  const { parts } = part;
  const outputs = outer * parts * inner;
  if (walksDown(input.layout, type)) {
    const wide = innerStride === 1 && [inner, step, outerStride, alsoStride, from].every((value) => value % 4 === 0);
    const d = wide ? 4 : 1;
    finishing(gpu, out, epilogue, wide, (finish) =>
      columnKernel.run(gpu, {
        template: { kind, type, wide, finish },
        operands: { x: input, ...finish.operands },
        uniforms: {
          outputs: outputs / d,
          inner: inner / d,
          also,
          alsoStride: alsoStride / d,
          ...part,
          n,
          length,
          outerStride: outerStride / d,
          innerStride,
          step: step / d,
          first: from / d,
          zero: 0,
          ...finish.values,
        },
        workgroups: gridStride(gpu, outputs / d, 16),
      }),
    );
    return;
  }
  const wide = step === 1 && [n, outerStride, innerStride, alsoStride, from, length].every((value) => value % 4 === 0);
  const d = wide ? 4 : 1;
  finishing(gpu, out, epilogue, false, (finish) =>
    rowKernel.run(gpu, {
      template: { kind, type, wide, finish },
      operands: { x: input, ...finish.operands },
      uniforms: {
        outputs,
        inner,
        also,
        alsoStride: alsoStride / d,
        ...part,
        n: n / d,
        length: length / d,
        outerStride: outerStride / d,
        innerStride: innerStride / d,
        step: wide ? 1 : step,
        first: from / d,
        zero: 0,
        ...finish.values,
      },
      workgroups: gridStride(gpu, outputs * 64, 64),
    }),
  );
}
