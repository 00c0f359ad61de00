import type { DType } from "../../../dtype.ts";
import type { Gpu } from "../gpu.ts";
import { foldGrid } from "../kernel.ts";

/** How a dtype is stored, as one value or as a vector of four. */
export function elementType(dtype: DType, width: 1 | 4): string {
  if (width === 1) return dtype === "bool" ? "u32" : dtype;
  return { f32: "vec4f", f16: "vec4h", i32: "vec4i", u32: "vec4u", bool: "vec4u" }[dtype];
}

/**
 * Workgroups for a kernel that strides over its grid. A software adapter pays about a microsecond for a workgroup and has few
 * cores; a GPU wants thousands.
 */
export function gridStride(gpu: Gpu, threads: number, workgroupSize: number): readonly [number, number, number] {
  return foldGrid(Math.max(1, Math.min(Math.ceil(threads / workgroupSize), gpu.software ? 64 : 4096)));
}

/** Threads that share one row: a subgroup where its size is known, else a workgroup with shared memory. */
export function rowThreads(gpu: Gpu): number {
  return gpu.subgroupSize || 64;
}

/**
 * `rowSum(v)` and `rowMax(v)` over the threads of a workgroup of WG, for kernels that give a row to a workgroup: one subgroup
 * operation where the workgroup is a subgroup, else a tree in shared memory. `lane` is the local index. NaN wins a maximum.
 */
export function rowReductions(
  gpu: Gpu,
  threads = rowThreads(gpu),
): { readonly subgroups: boolean; readonly source: string } {
  const nanMax = `fn rowNan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
fn nanMax(a: f32, b: f32) -> f32 { return select(max(a, b), a + b, rowNan(a) || rowNan(b)); }`;
  if (gpu.subgroupSize === threads) {
    return {
      subgroups: true,
      source: `${nanMax}
fn rowSum(v: f32, lane: u32) -> f32 { return subgroupAdd(v); }
fn rowMax(v: f32, lane: u32) -> f32 {
  let nan = subgroupAdd(select(0.0, 1.0, rowNan(v)));
  let best = subgroupMax(select(v, -3.4028234e38, rowNan(v)));
  return select(best, bitcast<f32>(0x7fc00000u + u.zero), nan > 0.0);
}`,
    };
  }
  const tree = (name: string, combine: string): string => `
fn ${name}(v: f32, lane: u32) -> f32 {
  shared_[lane] = v;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    if (lane < half) { shared_[lane] = ${combine}; }
    workgroupBarrier();
  }
  let result = shared_[0];
  workgroupBarrier();
  return result;
}`;
  return {
    subgroups: false,
    source: `${nanMax}
var<workgroup> shared_: array<f32, WG>;
${tree("rowSum", "shared_[lane] + shared_[lane + half]")}
${tree("rowMax", "nanMax(shared_[lane], shared_[lane + half])")}`,
  };
}

/** Threads that share a row, and the one of them that a thread is. */
interface Sharers {
  readonly lane: string;
  readonly threads: string;
  readonly cols: string;
}

/**
 * WGSL that walks over a row and adds to `sums`, of type F, what `body` adds to NAMEPart for element i: the sum of a stretch of 64 steps, since
 * fewer additions in a row lose less. It is not unrolled, since rows are short and software adapters take long to compile.
 */
export function overRow(
  F: string,
  sums: readonly string[],
  body: string,
  { lane, threads, cols }: Sharers = { lane: "lane", threads: "WG", cols: "u.cols" },
): string {
  const each = (text: (name: string) => string): string => sums.map(text).join(" ");
  return `for (var stretch = ${lane}; stretch < ${cols}; stretch += 64u * ${threads}) {
      ${each((name) => `var ${name}Part = ${F}(0.0);`)}
      let end = min(${cols}, stretch + 64u * ${threads});
      for (var i = stretch; i < end; i += ${threads}) {
        ${body}
      }
      ${each((name) => `${name} += ${name}Part;`)}
    }`;
}

/** What is summed: terms at `from`, `from + step` … below `to`, of a type. */
export interface Terms {
  readonly from: string;
  readonly to: string;
  readonly step: string;
  readonly type: string;
}

/**
 * WGSL that adds the `term` of each place to the variable `sum`: four terms in pairs, 16 such in a row, and those in a row. What an
 * f32 sum loses grows with the number of additions that a term goes through: 2 + 16 + terms / 64 instead of all of them. Four loads
 * at a time are also faster than a loop of one.
 */
export function sumOver(sum: string, { from, to, step, type }: Terms, term: (at: string) => string): string {
  const at = (k: number): string => (k === 0 ? `${sum}At` : `${sum}At + ${k}u * ${step}`);
  return `var ${sum}At = ${from};
    while (${sum}At + 3u * ${step} < ${to}) {
      var ${sum}Part = ${type}();
      for (var k = 0u; k < 16u && ${sum}At + 3u * ${step} < ${to}; k++) {
        ${sum}Part += (${term(at(0))} + ${term(at(1))}) + (${term(at(2))} + ${term(at(3))});
        ${sum}At += 4u * ${step};
      }
      ${sum} += ${sum}Part;
    }
    for (; ${sum}At < ${to}; ${sum}At += ${step}) { ${sum} += ${term(`${sum}At`)}; }`;
}

/**
 * WGSL that does `work` with `result`, what a thread has computed of row `at`, for each of its rows, which begin at `row`, below `end`. In a loop that begins and ends
 * where no compiler knows: it would unroll others, with all that is done with a result written out for each row or number. That is most of what there is to
 * compile, and takes seconds where the driver makes code for a CPU.
 */
export function rowByRow(rows: number, value: (row: number) => string, end: string, work: string): string {
  const results = Array.from({ length: rows }, (_, r) => `let result${r} = ${value(r)};`);
  const choice = Array.from(
    { length: rows - 1 },
    (_, r) => `result = select(result, result${r + 1}, at == row + ${r + 1}u);`,
  );
  return `${results.join(" ")}
  for (var at = row; at < min(row + ${rows}u, ${end}); at++) {
    var result = result0;
    ${choice.join("\n    ")}
    ${work}
  }`;
}

/** Axes that may be left after collapsing. */
export const MAX_RANK = 8;

/** Axes for which code is written out. Windows of images make six. */
const MOST_UNROLLED = 6;

/** Up to six axes get code of their own, which is several times as fast as a loop; more share one variant that loops, so that pipelines stay few. */
export function unrolled(rank: number): number {
  return rank <= 2 ? 2 : rank <= MOST_UNROLLED ? rank : MAX_RANK;
}

/**
 * WGSL for the coordinates of element `i` of a dense array, and with them the position `at0`, `at1` … of each strided operand.
 * Reads the uniforms `rank`, `shape` and `strides` (two vectors an operand).
 */
export function unravel(rank: number, width: number, leaves: readonly number[]): string {
  const lines = [`var rest = i${width === 4 ? " * 4u" : ""};`];
  for (const index of leaves) lines.push(`var at${index} = 0u;`);
  if (rank > MOST_UNROLLED) {
    lines.push("for (var axis = u.rank; axis > 0u; axis--) {", "let d = axis - 1u;");
    lines.push(
      "let size = u.shape[d >> 2u][d & 3u]; let over = quotient(rest, size); let c = rest - over * size; rest = over;",
    );
    for (const index of leaves) {
      lines.push(`at${index} += c * bitcast<u32>(u.strides[${index * 2}u + (d >> 2u)][d & 3u]);`);
    }
    lines.push("}");
    return lines.join("\n");
  }
  for (let axis = rank - 1; axis >= 0; axis--) {
    const size = `u.shape[${axis >> 2}][${axis & 3}]`;
    lines.push(
      axis === 0
        ? "let c0 = rest;"
        : `let over${axis} = quotient(rest, ${size}); let c${axis} = rest - over${axis} * ${size}; rest = over${axis};`,
    );
    for (const index of leaves) {
      lines.push(`at${index} += c${axis} * bitcast<u32>(u.strides[${index * 2 + (axis >> 2)}][${axis & 3}]);`);
    }
  }
  return lines.join("\n");
}
