import type { MatmulCall, View } from "../../../backend.ts";
import { denseLayout, type Layout } from "../../../layout.ts";
import { numel } from "../../../shape.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import { copy } from "./copy.ts";
import type { Finish } from "./finish.ts";
import { finishing } from "./pointwise.ts";
import { type Along, inVectors, Right } from "./right.ts";
import { rowByRow } from "./wgsl.ts";

type Grid = readonly [x: number, y: number, z: number];

/** Terms that are added up before their sum is added to that of others: fewer additions in a row lose less. */
const STRETCH = 512;

const UNIFORMS = {
  m: "u32",
  n: "u32",
  k: "u32",
  summed: "u32",
  aSummed: "u32",
  bSummed: "u32",
  batchInner: "u32",
  aRow: "u32",
  aCol: "u32",
  aOuter: "u32",
  aInner: "u32",
  aFrom: "u32",
  ...new Right("b", "none").uniforms,
  bOuter: "u32",
  bInner: "u32",
  bFrom: "u32",
  firstGroup: "vec4u",
} as const;

interface Template {
  readonly rows: number;
  readonly finish: Finish;
  /** How `b` lies. */
  readonly along: Along;
  /** Whether the rows of `a` are added up besides. */
  readonly rowSums: boolean;
}

/** Stores the rows of a tile, four columns of each: as a vector where rows of the output are aligned, else one by one inside the matrix. */
export function storeRows(
  { rows, finish: { width } }: { readonly rows: number; readonly finish: Finish },
  value: (row: number) => string,
  { m, n }: { readonly m: string; readonly n: string } = { m: "u.m", n: "u.n" },
): string {
  return rowByRow(
    rows,
    value,
    m,
    width === 4
      ? `finish((batch * ${m} + at) * (${n} / 4u) + col, result);`
      : `for (var c = col * 4u; c < min(col * 4u + 4u, ${n}); c++) { finish((batch * ${m} + at) * ${n} + c, result[c % 4u]); }`,
  );
}

/**
 * One thread owns four neighbouring columns of R rows; a workgroup is one subgroup. For each step of as many k as there are
 * lanes, every lane loads one value of a per row and the others get it by broadcast, so that the inner loop is a vector load
 * of b and R fused multiply-adds: loads, not arithmetic, bound this on software adapters.
 */
const broadcastKernel = kernel("matmul", (template: Template, gpu) => {
  const { rows, finish, rowSums } = template;
  const size = gpu.subgroupSize;
  const b = new Right("b", template.along);
  const each = (text: (r: number) => string): string => Array.from({ length: rows }, (_, r) => text(r)).join("\n    ");
  const multiply = (lane: number): string =>
    each((r) => `acc${r} = fma(vec4f(subgroupBroadcast(a${r}, ${lane}u)), v, acc${r});`);
  const firstLanes = Array.from({ length: size / b.together }, (_, i) => i * b.together);
  return {
    inputs: { a: "f32", b: b.type, ...finish.inputs },
    outputs: { ...finish.outputs, ...(rowSums ? { rowSums: "f32" } : {}) },
    uniforms: { ...UNIFORMS, ...finish.uniforms },
    workgroupSize: size,
    subgroups: true,
    source: `${finish.source}
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let cols = (u.n + 3u) / 4u;
  let col = (group.x + u.firstGroup.x) * WG + lane;
  let row = (group.y + u.firstGroup.y) * ${rows}u;
  let batch = group.z + u.firstGroup.z;
  let aBase = u.aFrom + (batch / u.batchInner) * u.aOuter + (batch % u.batchInner) * u.aInner;
  let bBase = u.bFrom + (batch / u.batchInner) * u.bOuter + (batch % u.batchInner) * u.bInner;
  ${b.start("bBase", "col", "u.n")}
  ${each((r) => `var from${r} = aBase + min(row + ${r}u, u.m - 1u) * u.aRow; var acc${r} = vec4f(); var sum${r} = vec4f();`)}
  ${rowSums ? each((r) => `var own${r} = 0.0; var total${r} = 0.0;`) : ""}
  for (var part = 0u; part < u.summed; part++) {
  let full = u.k - u.k % WG;
  for (var stretch = 0u; stretch < full; stretch += ${STRETCH}u) {
    let end = min(full, stretch + ${STRETCH}u);
    for (var k = stretch; k < end; k += WG) {
      ${each((r) => `let a${r} = a[from${r} + (k + lane) * u.aCol];${rowSums ? ` own${r} += a${r};` : ""}`)}
      ${b.go("k")}
      ${firstLanes.map((lane) => b.steps((step) => multiply(lane + step))).join("\n    ")}
    }
    ${each((r) => `sum${r} += acc${r}; acc${r} = vec4f();${rowSums ? ` total${r} += own${r}; own${r} = 0.0;` : ""}`)}
  }
  if (full < u.k) {
    ${each((r) => `let a${r} = a[from${r} + min(full + lane, u.k - 1u) * u.aCol];${rowSums ? ` own${r} += select(0.0, a${r}, full + lane < u.k);` : ""}`)}
    // One step at a time: these are few, and shuffles the dearest thing to compile.
    for (var l = 0u; full + l < u.k; l++) {
      let v = ${b.at("(full + l)")};
      ${each((r) => `acc${r} = fma(vec4f(subgroupShuffle(a${r}, l)), v, acc${r});`)}
    }
  }
  bFirst += u.bSummed;
  ${each((r) => `from${r} += u.aSummed;`)}
  }
  ${
    rowSums
      ? each(
          (r) => `{ let sum = subgroupAdd(total${r} + own${r});
    if (group.x + u.firstGroup.x == 0u && lane == 0u && row + ${r}u < u.m) { rowSums[row + ${r}u] = sum; } }`,
        )
      : ""
  }
  if (col < cols) {
    ${storeRows(template, (r) => `sum${r} + acc${r}`)}
  }
}`,
  };
});

/** The same tile without subgroups, for adapters whose subgroup size is unknown or varies: every thread loads its own a. */
const plainKernel = kernel("matmul-plain", (template: Template) => {
  const { rows, finish, rowSums } = template;
  const b = new Right("b", template.along);
  const each = (text: (r: number) => string): string => Array.from({ length: rows }, (_, r) => text(r)).join("\n    ");
  return {
    inputs: { a: "f32", b: b.type, ...finish.inputs },
    outputs: { ...finish.outputs, ...(rowSums ? { rowSums: "f32" } : {}) },
    uniforms: { ...UNIFORMS, ...finish.uniforms },
    workgroupSize: 32,
    source: `${finish.source}
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let cols = (u.n + 3u) / 4u;
  let col = (group.x + u.firstGroup.x) * WG + lane;
  if (col >= cols) { return; }
  let row = (group.y + u.firstGroup.y) * ${rows}u;
  let batch = group.z + u.firstGroup.z;
  let aBase = u.aFrom + (batch / u.batchInner) * u.aOuter + (batch % u.batchInner) * u.aInner;
  let bBase = u.bFrom + (batch / u.batchInner) * u.bOuter + (batch % u.batchInner) * u.bInner;
  ${b.start("bBase", "col", "u.n")}
  ${each((r) => `var from${r} = aBase + min(row + ${r}u, u.m - 1u) * u.aRow; var sum${r} = vec4f();`)}
  ${rowSums ? each((r) => `var total${r} = 0.0;`) : ""}
  for (var part = 0u; part < u.summed; part++) {
  for (var stretch = 0u; stretch < u.k; stretch += ${STRETCH}u) {
    let end = min(u.k, stretch + ${STRETCH}u);
    ${each((r) => `var acc${r} = vec4f();${rowSums ? ` var own${r} = 0.0;` : ""}`)}
    ${b.go("stretch")}
    for (var k = stretch; k < end; k += ${b.together}u) {
      ${b.steps((step) =>
        each((r) => {
          const value = `a[from${r} + (k + ${step}u) * u.aCol]`;
          return `acc${r} = fma(vec4f(${value}), v, acc${r});${rowSums ? ` own${r} += ${value};` : ""}`;
        }),
      )}
    }
    ${each((r) => `sum${r} += acc${r};${rowSums ? ` total${r} += own${r};` : ""}`)}
  }
  bFirst += u.bSummed;
  ${each((r) => `from${r} += u.aSummed;`)}
  }
  ${rowSums ? each((r) => `if (col == 0u && row + ${r}u < u.m) { rowSums[row + ${r}u] = total${r}; }`) : ""}
  ${storeRows(template, (r) => `sum${r}`)}
}`,
  };
});

/**
 * Rows from which on a graphics card reads `b` so often that its columns are laid side by side first: neighbouring threads then read
 * neighbouring vectors. Software adapters do not mind.
 */
const WORTH_A_COPY = 1024;

/** Multiplications up to which `b` is read as it lies, rather than copied in a launch of its own so that its columns lie in whole vectors. */
function worthVectors(gpu: Gpu): number {
  return gpu.software ? 2 ** 21 : 2 ** 26;
}

/** How `b` is read. */
function wayOf(gpu: Gpu, b: View, m: number): Along {
  if (inVectors(b, 3)) return "columns";
  if (inVectors(b, 2) && (gpu.software || m < WORTH_A_COPY)) return "k";
  return m * numel(b.layout.shape) <= worthVectors(gpu) ? "none" : "columns";
}

/** Batched matrix product. */
export function matmul(gpu: Gpu, { a, b, out, rowSums, epilogue }: MatmulCall): void {
  const [outer, inner, m, k] = a.layout.shape as [number, number, number, number];
  const n = b.layout.shape[3]!;
  const summed = out.layout.shape[0] === 1 ? outer : 1;
  const batch = (outer / summed) * inner;
  if (batch * m * n === 0) return;
  const along = wayOf(gpu, b, m);
  const ready = along !== "columns" || inVectors(b, 3);
  const right = ready ? b : alignColumns(gpu, b);
  const way = new Right("b", along);
  const [aOuter, aInner, aRow, aCol] = a.layout.strides as [number, number, number, number];
  const [bOuter, bInner, bRow, bCol] = right.layout.strides as [number, number, number, number];
  const rows = tileRows(gpu, m);
  const lanes = gpu.subgroupSize || 32;
  const variant = gpu.subgroupSize > 0 ? broadcastKernel : plainKernel;
  const grid = [Math.ceil(Math.ceil(n / 4) / lanes), Math.ceil(m / rows), batch] as const;
  finishing(gpu, out, epilogue, n % 4 === 0, (finish) => {
    for (const { first, count } of pieces(grid)) {
      variant.run(gpu, {
        template: { rows, finish, along, rowSums: rowSums !== undefined },
        operands: { a, b: right, ...finish.operands, ...(rowSums && { rowSums }) },
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
          summed,
          aSummed: aOuter,
          ...way.values(bRow, bCol),
          bSummed: bOuter / way.unit,
          bOuter: bOuter / way.unit,
          bInner: bInner / way.unit,
          bFrom: right.layout.offset / way.unit,
          firstGroup: first,
          ...finish.values,
        },
        workgroups: count,
      });
    }
  });
  if (!ready) right.storage.release();
}

/** Rows of a tile. Where a variant takes seconds to compile, as software adapters do, short matrices share the tall one. */
export function tileRows(gpu: Gpu, m: number): number {
  return gpu.software || m > 4 ? 8 : m === 1 ? 1 : 4;
}

/** A grid cut so that no dimension exceeds the 65,535 workgroups of a launch. */
export function pieces(grid: Grid): readonly { readonly first: Grid; readonly count: Grid }[] {
  const limit = 65_535;
  const [x, y, z] = grid;
  if (x <= limit && y <= limit && z <= limit) return [{ first: [0, 0, 0], count: grid }];
  const cuts = (size: number): number[] => Array.from({ length: Math.ceil(size / limit) }, (_, i) => i * limit);
  const rest = (size: number, first: number): number => Math.min(limit, size - first);
  return cuts(z).flatMap((k) =>
    cuts(y).flatMap((j) =>
      cuts(x).map((i) => ({ first: [i, j, k] as const, count: [rest(x, i), rest(y, j), rest(z, k)] as const })),
    ),
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
