/**
 * The ceilings of the adapter, measured in the same run as the rows: a copy for what is limited by memory, a chain of multiply-adds in
 * registers for what is limited by arithmetic.
 */
import { uniform } from "./arrays.ts";
import { type Raw, rawTask } from "./raw.ts";
import type { Row } from "./row.ts";

const GROUP = 256;
/** Numbers that are checked. */
const CHECKED = 1 << 18;
const STEPS = 512;

/** What a ceiling of this adapter is measured with: small enough for a software adapter, large enough to fill a GPU. */
export interface Roof {
  readonly row: Row;
  /** Floating-point operations or bytes of a run. */
  readonly amount: (software: boolean) => number;
}

const copyCount = (software: boolean): number => (software ? 1 << 22 : 1 << 26);
const copyGroups = (software: boolean): number => copyCount(software) / 4 / GROUP / 4;
const chainGroups = (software: boolean): number => (software ? 64 : 1 << 14);

/** Every invocation copies four vec4, a workgroup apart. */
const copy: Roof = {
  amount: (software) => 2 * 4 * copyCount(software),
  row: {
    name: "copy",
    shape: "f32",
    tolerance: 0,
    reference: () => Float64Array.from(uniform(CHECKED, 0)),
    tasks: {
      raw: [
        (raw: Raw) => {
          const count = copyCount(raw.software);
          const groups = copyGroups(raw.software);
          const [columns, rows] = [Math.min(groups, 1 << 14), Math.ceil(groups / (1 << 14))];
          const source = new Float32Array(count);
          source.set(uniform(CHECKED, 0));
          return rawTask(raw, {
            buffers: [source, new Float32Array(count)],
            grid: [columns, rows],
            code: `
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@compute @workgroup_size(${GROUP})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = (group.y * ${columns}u + group.x) * ${4 * GROUP}u + lane;
  for (var i = 0u; i < 4u; i++) { y[first + i * ${GROUP}u] = x[first + i * ${GROUP}u]; }
}`,
          });
        },
      ],
    },
  },
};

/** Four independent chains of `p = p·a + b` on vec4. They tend to b / (1 − a), so nothing grows or vanishes. */
const multiplyAdd: Roof = {
  amount: (software) => chainGroups(software) * GROUP * STEPS * 4 * 4 * 2,
  row: {
    name: "multiply-add",
    shape: "f32",
    tolerance: 1e-4,
    reference: () => {
      const [a, b] = [0.75, 0.5];
      let [p, q, r, s] = [0, 1, 2, 3];
      for (let i = 0; i < STEPS; i++) [p, q, r, s] = [p * a + b, q * a + b, r * a + b, s * a + b];
      return new Float64Array(4 * GROUP * 64).fill(p + q + r + s);
    },
    tasks: {
      raw: [
        (raw: Raw) => {
          const groups = chainGroups(raw.software);
          return rawTask(raw, {
            // The factors come from memory, so that no compiler can know them.
            buffers: [Float32Array.of(0.75, 0.75, 0.75, 0.75, 0.5, 0.5, 0.5, 0.5), new Float32Array(4 * GROUP * 64)],
            grid: [groups, 1],
            code: `
@group(0) @binding(0) var<storage, read> factors: array<vec4f, 2>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@compute @workgroup_size(${GROUP})
fn main(@builtin(global_invocation_id) at: vec3u) {
  let a = factors[0];
  let b = factors[1];
  var p = vec4f(0.0); var q = vec4f(1.0); var r = vec4f(2.0); var s = vec4f(3.0);
  for (var i = 0u; i < ${STEPS}u; i++) { p = fma(p, a, b); q = fma(q, a, b); r = fma(r, a, b); s = fma(s, a, b); }
  y[at.x % ${GROUP * 64}u] = p + q + r + s;
}`,
          });
        },
      ],
    },
  },
};

/** `bytes` in GB/s of copying (read and written), `flops` in GFLOP/s. */
export const roofs: Readonly<Record<"bytes" | "flops", Roof>> = { bytes: copy, flops: multiplyAdd };
