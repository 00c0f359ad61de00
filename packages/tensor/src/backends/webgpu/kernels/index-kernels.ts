import type { CountDistinctCall, GatherCall, ScatterAddCall, SegmentSumCall, View } from "../../../backend.ts";
import { denseLayout } from "../../../layout.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import { elementType, gridStride, rowThreads } from "./wgsl.ts";

const WG = 64;
/** Comparisons that a scatter may spend on searching; above it the positions are sorted first. */
const DIRECT_SEARCH = 1 << 20;

/** How the outputs `(outer, middle, inner)` of a kernel are shared out. */
interface Shares {
  /** A workgroup takes a whole inner row at a time; else a thread takes single outputs. */
  readonly rowwise: boolean;
  /** outer is 1. */
  readonly flat: boolean;
}

/**
 * `main` around the computation of output `o` with coordinates `outer`, `j` (of `middle`) and `i`. Divisions by numbers that are
 * not known beforehand are slow, on software adapters above all: one for each row where rows are long, none that outer = 1 saves.
 */
function share({ rowwise, flat }: Shares, middle: string, body: string): string {
  const split = flat ? "let outer = 0u; let j = row;" : `let outer = row / ${middle}; let j = row - outer * ${middle};`;
  if (rowwise) {
    return `
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  for (var row = group.x + group.y * groups.x; row < u.rowsInAll; row += groups.x * groups.y) {
    ${split}
    for (var i = lane; i < u.inner; i += WG) {
      let o = row * u.inner + i;
      ${body}
    }
  }
}`;
  }
  return `
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var o = id.x + id.y * groups.x * WG; o < u.rowsInAll * u.inner; o += groups.x * groups.y * WG) {
    let row = quotient(o, u.inner);
    let i = o - row * u.inner;
    ${split}
    ${body}
  }
}`;
}

/** Which of the two ways, and its grid. */
function shareOut(
  gpu: Gpu,
  rows: number,
  inner: number,
): { readonly rowwise: boolean; readonly workgroups: readonly [number, number, number] } {
  const rowwise = inner >= rowThreads(gpu);
  return { rowwise, workgroups: rowwise ? gridStride(gpu, rows, 1) : gridStride(gpu, rows * inner, WG) };
}

/**
 * One thread copies one value (or four) at a time from the row that the index names. What is copied is bits, so all 32-bit
 * types share a variant. A row that does not exist reads as `missing`.
 */
const gatherKernel = kernel("gather", (t: Shares & { type: string; half: boolean; elements: boolean }, gpu) => ({
  inputs: { x: t.type, index: "i32" },
  outputs: { y: t.type },
  uniforms: { rowsInAll: "u32", n: "u32", inner: "u32", count: "u32", missing: "u32" },
  workgroupSize: t.rowwise ? rowThreads(gpu) : WG,
  source: share(
    t,
    "u.count",
    `let taken = bitcast<u32>(index[${t.elements ? "o" : "j"}]);
    var value = ${t.type}(${t.half ? "f16(bitcast<f32>(u.missing))" : "u.missing"});
    if (taken < u.n) { value = x[(outer * u.n + taken) * u.inner + i]; }
    y[o] = value;`,
  ),
}));

function gatherWith(gpu: Gpu, { outer, n, inner, count, x, index, out }: GatherCall, elements: boolean): void {
  const size = outer * count * inner;
  if (size === 0) return;
  const half = x.dtype === "f16";
  const wide = !elements && inner % 4 === 0;
  const width = wide ? 4 : 1;
  const rowsInAll = outer * count;
  const { rowwise, workgroups } = shareOut(gpu, rowsInAll, inner / width);
  gatherKernel.run(gpu, {
    template: { type: elementType(half ? "f16" : "u32", width), half, elements, rowwise, flat: outer === 1 },
    operands: { x, index, y: out },
    uniforms: {
      rowsInAll,
      n,
      inner: inner / width,
      count,
      // NaN shows up; whole numbers have none.
      missing: half || x.dtype === "f32" ? 0x7fc00000 : 0,
    },
    workgroups,
  });
}

/** Rows by index. */
export function gather(gpu: Gpu, call: GatherCall): void {
  gatherWith(gpu, call, false);
}

/** Single elements by index. */
export function gatherElements(gpu: Gpu, call: GatherCall): void {
  gatherWith(gpu, call, true);
}

/**
 * WGSL that adds to `sum` what `body` adds to `low` for each `k` from `from` below `to`: 64 in a row, 64 such, and those, since what a
 * sum loses grows with the additions in a row.
 */
function inStretches(F: string, from: string, to: string, body: string): string {
  return `for (var k4096 = ${from}; k4096 < ${to}; k4096 += 4096) {
      var high = ${F}(0.0);
      let to4096 = min(${to}, k4096 + 4096);
      for (var k64 = k4096; k64 < to4096; k64 += 64) {
        var low = ${F}(0.0);
        let to64 = min(to4096, k64 + 64);
        for (var k = k64; k < to64; k++) { ${body} }
        high += low;
      }
      sum += high;
    }`;
}

/** One thread adds up one output (or four), in the order in which the positions are listed; sums are f32. */
const segmentSumKernel = kernel("segment-sum", (t: Shares & { type: string; wide: boolean }, gpu) => {
  const F = t.wide ? "vec4f" : "f32";
  return {
    inputs: { x: t.type, order: "i32", start: "i32" },
    outputs: { y: t.type },
    uniforms: { rowsInAll: "u32", rows: "u32", inner: "u32", count: "u32" },
    workgroupSize: t.rowwise ? rowThreads(gpu) : WG,
    source: share(
      t,
      "u.rows",
      `var sum = ${F}(0.0);
    let end = start[j + 1u];
    ${inStretches(F, "start[j]", "end", `low += ${F}(x[(outer * u.count + u32(order[k])) * u.inner + i]);`)}
    y[o] = ${t.type}(sum);`,
    ),
  };
});

/** Sums of rows, by a plan of which rows go where. */
export function segmentSum(gpu: Gpu, { outer, rows, inner, count, x, order, start, out }: SegmentSumCall): void {
  const size = outer * rows * inner;
  if (size === 0) return;
  const wide = inner % 4 === 0;
  const width = wide ? 4 : 1;
  const rowsInAll = outer * rows;
  const { rowwise, workgroups } = shareOut(gpu, rowsInAll, inner / width);
  segmentSumKernel.run(gpu, {
    template: { type: elementType(x.dtype, width), wide, rowwise, flat: outer === 1 },
    operands: { x, order, start, y: out },
    uniforms: { rowsInAll, rows, inner: inner / width, count },
    workgroups,
  });
}

/**
 * One thread adds up one output (or four): it walks over all positions and takes those whose index is its own row. No atomics,
 * so the order of the sum, and with it the result, is the same every time.
 */
const scatterKernel = kernel("scatter-add", (t: Shares & { type: string; wide: boolean; elements: boolean }, gpu) => {
  const F = t.wide ? "vec4f" : "f32";
  return {
    inputs: { x: t.type, index: "i32" },
    outputs: { y: t.type },
    uniforms: { rowsInAll: "u32", rows: "u32", inner: "u32", count: "u32" },
    workgroupSize: t.rowwise ? rowThreads(gpu) : WG,
    source: share(
      t,
      "u.rows",
      `var sum = ${F}(0.0);
    let count = i32(u.count);
    ${inStretches(
      F,
      "0",
      "count",
      `let at = (outer * u.count + u32(k)) * u.inner + i;
      if (bitcast<u32>(index[${t.elements ? "at" : "k"}]) == j) { low += ${F}(x[at]); }`,
    )}
    y[o] = ${t.type}(sum);`,
    ),
  };
});

/**
 * One workgroup turns an index into segment bounds: how often each row occurs (integer atomics do not depend on their order),
 * then running sums, each thread over its own stretch of rows.
 */
const segmentStartKernel = kernel("segment-start", (_: object) => ({
  inputs: { index: "i32" },
  outputs: { start: "atomic<i32>" },
  uniforms: { rows: "u32", count: "u32" },
  workgroupSize: WG,
  source: `
var<workgroup> sums: array<i32, WG>;
@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lane: u32) {
  for (var r = lane; r <= u.rows; r += WG) { atomicStore(&start[r], 0); }
  storageBarrier();
  for (var k = lane; k < u.count; k += WG) {
    let row = bitcast<u32>(index[k]);
    if (row < u.rows) { atomicAdd(&start[row + 1u], 1); }
  }
  storageBarrier();
  let stretch = u.rows / WG + 1u;
  let begin = min(lane * stretch, u.rows + 1u);
  let end = min(begin + stretch, u.rows + 1u);
  var sum = 0;
  for (var r = begin; r < end; r++) { sum += atomicLoad(&start[r]); }
  sums[lane] = sum;
  workgroupBarrier();
  var running = 0;
  for (var before = 0u; before < lane; before++) { running += sums[before]; }
  for (var r = begin; r < end; r++) {
    running += atomicLoad(&start[r]);
    atomicStore(&start[r], running);
  }
}`,
}));

/** One thread lists the positions of one row in ascending order, and stops when it has found them all. */
const segmentOrderKernel = kernel("segment-order", (_: object) => ({
  inputs: { index: "i32", start: "i32" },
  outputs: { order: "i32" },
  uniforms: { rows: "u32" },
  workgroupSize: WG,
  source: `
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var r = id.x + id.y * groups.x * WG; r < u.rows; r += groups.x * groups.y * WG) {
    let end = start[r + 1u];
    var position = 0;
    for (var at = start[r]; at < end; position++) {
      if (bitcast<u32>(index[position]) == r) { order[at] = position; at++; }
    }
  }
}`,
}));

/** The adjoint of a gather. Long searches sort the positions first and then add up segments. */
export function scatterAdd(gpu: Gpu, call: ScatterAddCall): void {
  const { outer, rows, inner, count, elements, x, index, out } = call;
  const size = outer * rows * inner;
  if (size === 0) return;
  const wide = !elements && inner % 4 === 0;
  const width = wide ? 4 : 1;
  if (!elements && count > 0 && (size / width) * count > DIRECT_SEARCH) {
    const take = (length: number): View => ({
      storage: gpu.pool.take(length * 4, "scatter plan"),
      layout: denseLayout([length]),
      dtype: "i32",
    });
    const start = take(rows + 1);
    const order = take(count);
    segmentStartKernel.run(gpu, { template: {}, operands: { index, start }, uniforms: { rows, count }, workgroups: 1 });
    segmentOrderKernel.run(gpu, {
      template: {},
      operands: { index, start, order },
      uniforms: { rows },
      workgroups: gridStride(gpu, rows, WG),
    });
    segmentSum(gpu, { outer, rows, inner, count, x, order, start, out });
    start.storage.release();
    order.storage.release();
    return;
  }
  const rowsInAll = outer * rows;
  const { rowwise, workgroups } = shareOut(gpu, rowsInAll, inner / width);
  scatterKernel.run(gpu, {
    template: { type: elementType(x.dtype, width), wide, elements, rowwise, flat: outer === 1 },
    operands: { x, index, y: out },
    uniforms: { rowsInAll, rows, inner: inner / width, count },
    workgroups,
  });
}

/** One workgroup marks which of 256 values occur in one row, then counts the marks. */
const countDistinctKernel = kernel("count-distinct", ({ wide }: { wide: boolean }) => ({
  inputs: { x: wide ? "vec4f" : "f32" },
  outputs: { y: "f32" },
  uniforms: { rows: "u32", cols: "u32" },
  workgroupSize: WG,
  source: `
var<workgroup> seen: array<atomic<u32>, 256>;
var<workgroup> found: atomic<u32>;
fn mark(v: f32) { atomicStore(&seen[u32(clamp(v + 0.5, 0.0, 255.0))], 1u); }
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  for (var r = group.x + group.y * groups.x; r < u.rows; r += groups.x * groups.y) {
    for (var k = lane; k < 256u; k += WG) { atomicStore(&seen[k], 0u); }
    if (lane == 0u) { atomicStore(&found, 0u); }
    workgroupBarrier();
    for (var i = lane; i < u.cols; i += WG) {
      let v = x[r * u.cols + i];
      ${wide ? "mark(v.x); mark(v.y); mark(v.z); mark(v.w);" : "mark(v);"}
    }
    workgroupBarrier();
    var own = 0u;
    for (var k = lane; k < 256u; k += WG) { own += atomicLoad(&seen[k]); }
    atomicAdd(&found, own);
    workgroupBarrier();
    if (lane == 0u) { y[r] = f32(atomicLoad(&found)); }
    workgroupBarrier();
  }
}`,
}));

/** Distinct values in each dense row of whole numbers 0..255. */
export function countDistinct(gpu: Gpu, { rows, cols, x, out }: CountDistinctCall): void {
  if (rows === 0) return;
  const wide = cols % 4 === 0;
  countDistinctKernel.run(gpu, {
    template: { wide },
    operands: { x, y: out },
    uniforms: { rows, cols: wide ? cols / 4 : cols },
    workgroups: gridStride(gpu, rows, 1),
  });
}
