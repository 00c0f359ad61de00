import type { MatmulCall, View } from "../../../backend.ts";
import { denseLayout, type Layout } from "../../../layout.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import { copy } from "./copy.ts";

type Grid = readonly [x: number, y: number, z: number];

/** Terms that are added up before their sum is added to that of others: fewer additions in a row lose less. */
const STRETCH = 512;

const UNIFORMS = {
  m: "u32",
  n: "u32",
  k: "u32",
  batchInner: "u32",
  aRow: "u32",
  aCol: "u32",
  aOuter: "u32",
  aInner: "u32",
  aFrom: "u32",
  bRow: "u32",
  bOuter: "u32",
  bInner: "u32",
  bFrom: "u32",
  firstGroup: "vec4u",
} as const;

/** Stores one row's four columns: as a vector where rows of the output are aligned, else one by one inside the matrix. */
function store(wide: boolean, row: string, value: string): string {
  if (wide) return `y[(batch * u.m + ${row}) * (u.n / 4u) + col] = ${value};`;
  return `for (var j = 0u; j < 4u; j++) {
      if (col * 4u + j < u.n) { y[(batch * u.m + ${row}) * u.n + col * 4u + j] = ${value}[j]; }
    }`;
}

/**
 * One thread owns four neighbouring columns of R rows; a workgroup is one subgroup. For each step of as many k as there are
 * lanes, every lane loads one value of a per row and the others get it by broadcast, so that the inner loop is a vector load
 * of b and R fused multiply-adds: loads, not arithmetic, bound this on software adapters.
 */
const broadcastKernel = kernel("matmul", ({ rows, wide }: { rows: number; wide: boolean }, gpu) => {
  const size = gpu.subgroupSize;
  const each = (text: (r: number) => string): string => Array.from({ length: rows }, (_, r) => text(r)).join("\n    ");
  const multiply = (lane: number): string =>
    each((r) => `acc${r} = fma(vec4f(subgroupBroadcast(a${r}, ${lane}u)), v, acc${r});`);
  const lanes = Array.from({ length: size }, (_, lane) => lane);
  return {
    inputs: { a: "f32", b: "vec4f" },
    outputs: { y: wide ? "vec4f" : "f32" },
    uniforms: UNIFORMS,
    workgroupSize: size,
    subgroups: true,
    source: `
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let cols = (u.n + 3u) / 4u;
  let col = (group.x + u.firstGroup.x) * WG + lane;
  let at = min(col, cols - 1u);
  let row = (group.y + u.firstGroup.y) * ${rows}u;
  let batch = group.z + u.firstGroup.z;
  let aBase = u.aFrom + (batch / u.batchInner) * u.aOuter + (batch % u.batchInner) * u.aInner;
  let bBase = u.bFrom + (batch / u.batchInner) * u.bOuter + (batch % u.batchInner) * u.bInner + at;
  ${each((r) => `let from${r} = aBase + min(row + ${r}u, u.m - 1u) * u.aRow; var acc${r} = vec4f(); var sum${r} = vec4f();`)}
  let full = u.k - u.k % WG;
  for (var stretch = 0u; stretch < full; stretch += ${STRETCH}u) {
    let end = min(full, stretch + ${STRETCH}u);
    for (var k = stretch; k < end; k += WG) {
      ${each((r) => `let a${r} = a[from${r} + (k + lane) * u.aCol];`)}
      var bAt = bBase + k * u.bRow;
      ${lanes.map((lane) => `{ let v = b[bAt]; bAt += u.bRow;\n    ${multiply(lane)} }`).join("\n    ")}
    }
    ${each((r) => `sum${r} += acc${r}; acc${r} = vec4f();`)}
  }
  if (full < u.k) {
    ${each((r) => `let a${r} = a[from${r} + min(full + lane, u.k - 1u) * u.aCol];`)}
    for (var l = 0u; full + l < u.k; l++) {
      let v = b[bBase + (full + l) * u.bRow];
      ${each((r) => `acc${r} = fma(vec4f(subgroupShuffle(a${r}, l)), v, acc${r});`)}
    }
  }
  if (col < cols) {
    ${each((r) => `if (row + ${r}u < u.m) { ${store(wide, `row + ${r}u`, `(sum${r} + acc${r})`)} }`)}
  }
}`,
  };
});

/** The same tile without subgroups, for adapters whose subgroup size is unknown or varies: every thread loads its own a. */
const plainKernel = kernel("matmul-plain", ({ rows, wide }: { rows: number; wide: boolean }) => {
  const each = (text: (r: number) => string): string => Array.from({ length: rows }, (_, r) => text(r)).join("\n    ");
  return {
    inputs: { a: "f32", b: "vec4f" },
    outputs: { y: wide ? "vec4f" : "f32" },
    uniforms: UNIFORMS,
    workgroupSize: 32,
    source: `
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let cols = (u.n + 3u) / 4u;
  let col = (group.x + u.firstGroup.x) * WG + lane;
  if (col >= cols) { return; }
  let row = (group.y + u.firstGroup.y) * ${rows}u;
  let batch = group.z + u.firstGroup.z;
  let aBase = u.aFrom + (batch / u.batchInner) * u.aOuter + (batch % u.batchInner) * u.aInner;
  let bBase = u.bFrom + (batch / u.batchInner) * u.bOuter + (batch % u.batchInner) * u.bInner + col;
  ${each((r) => `let from${r} = aBase + min(row + ${r}u, u.m - 1u) * u.aRow; var sum${r} = vec4f();`)}
  for (var stretch = 0u; stretch < u.k; stretch += ${STRETCH}u) {
    let end = min(u.k, stretch + ${STRETCH}u);
    ${each((r) => `var acc${r} = vec4f();`)}
    for (var k = stretch; k < end; k++) {
      let v = b[bBase + k * u.bRow];
      ${each((r) => `acc${r} = fma(vec4f(a[from${r} + k * u.aCol]), v, acc${r});`)}
    }
    ${each((r) => `sum${r} += acc${r};`)}
  }
  ${each((r) => `if (row + ${r}u < u.m) { ${store(wide, `row + ${r}u`, `sum${r}`)} }`)}
}`,
  };
});

/** Batched matrix product; `b` is copied first where its columns are not side by side in whole vectors. */
export function matmul(gpu: Gpu, { a, b, out }: MatmulCall): void {
  const [outer, inner, m, k] = a.layout.shape as [number, number, number, number];
  const n = b.layout.shape[3]!;
  const batch = outer * inner;
  if (batch * m * n === 0) return;
  const ready = vectorColumns(b);
  const right = ready ? b : alignColumns(gpu, b);
  const [aOuter, aInner, aRow, aCol] = a.layout.strides as [number, number, number, number];
  const [bOuter, bInner, bRow] = right.layout.strides as [number, number, number, number];
  const rows = tileRows(gpu, m);
  const lanes = gpu.subgroupSize || 32;
  const template = { rows, wide: n % 4 === 0 };
  const variant = gpu.subgroupSize > 0 ? broadcastKernel : plainKernel;
  const grid = [Math.ceil(Math.ceil(n / 4) / lanes), Math.ceil(m / rows), batch] as const;
  for (const { first, count } of pieces(grid)) {
    variant.run(gpu, {
      template,
      operands: { a, b: right, y: out },
      uniforms: {
        m,
        n,
        k,
        batchInner: inner,
        aRow,
        aCol,
        aOuter,
        aInner,
        aFrom: a.layout.offset,
        bRow: bRow / 4,
        bOuter: bOuter / 4,
        bInner: bInner / 4,
        bFrom: right.layout.offset / 4,
        firstGroup: first,
      },
      workgroups: count,
    });
  }
  if (!ready) right.storage.release();
}

/** Rows of a tile. Where a variant takes seconds to compile, as software adapters do, short matrices share the tall one. */
export function tileRows(gpu: Gpu, m: number): number {
  return gpu.software || m > 4 ? 8 : m === 1 ? 1 : 4;
}

/** A grid cut so that no dimension exceeds the 65,535 workgroups of a launch. */
function* pieces([x, y, z]: Grid): Generator<{ readonly first: Grid; readonly count: Grid }> {
  const limit = 65_535;
  const rest = (size: number, first: number): number => Math.min(limit, size - first);
  for (let k = 0; k < z; k += limit) {
    for (let j = 0; j < y; j += limit) {
      for (let i = 0; i < x; i += limit) yield { first: [i, j, k], count: [rest(x, i), rest(y, j), rest(z, k)] };
    }
  }
}

function vectorColumns(b: View): boolean {
  const { shape, strides, offset } = b.layout;
  return (
    (strides[3] === 1 || shape[3] === 1) &&
    shape[3]! % 4 === 0 &&
    offset % 4 === 0 &&
    strides.slice(0, 3).every((stride) => stride % 4 === 0)
  );
}

/** A copy of `b` whose rows start on whole vectors; what lies past the last column is never stored. */
function alignColumns(gpu: Gpu, b: View): View {
  const [outer, inner, k, n] = b.layout.shape as [number, number, number, number];
  const [outerStride, innerStride] = b.layout.strides as [number, number, number, number];
  const width = Math.ceil(n / 4) * 4;
  // An axis that is broadcast is copied once.
  const copies = [outerStride === 0 ? 1 : outer, innerStride === 0 ? 1 : inner] as const;
  const storage = gpu.pool.take(copies[0] * copies[1] * k * width * 4, "matmul columns");
  const dense = denseLayout([copies[0], copies[1], k, width]);
  const target: Layout = { shape: [copies[0], copies[1], k, n], strides: dense.strides, offset: 0 };
  const source: Layout = { ...b.layout, shape: target.shape };
  copy(gpu, { out: { storage, layout: target, dtype: b.dtype }, input: { ...b, layout: source } });
  const strides = [outerStride === 0 ? 0 : dense.strides[0]!, innerStride === 0 ? 0 : dense.strides[1]!, width, 1];
  return { storage, layout: { shape: b.layout.shape, strides, offset: 0 }, dtype: b.dtype };
}
