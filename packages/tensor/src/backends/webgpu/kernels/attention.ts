import type { AttentionCall, AttentionSizes, AttentionSlopesCall } from "../../../backend.ts";
import type { Gpu, UniformType } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import {
  attentionUniforms,
  baseOf,
  batchValues,
  biasTypes,
  each,
  groupOf,
  lanesOf,
  type MapTemplate,
  MOST_KEYS,
  map,
  ofMap,
  overRows,
  pick,
  product,
  ROWS,
  rightValues,
  templateOf,
  transposed,
} from "./attention-map.ts";
import { attentionRows, MOST_KEYS as MOST_KEYS_OF_ROWS, MOST_WIDE } from "./attention-rows.ts";
import type { Finish } from "./finish.ts";
import { pieces, storeRows } from "./matmul.ts";
import { finishing } from "./pointwise.ts";
import { type Along, Right } from "./right.ts";

interface Template extends MapTemplate {
  readonly values: Along;
  /** Threads that have all columns of the result between them. */
  readonly group: number;
  readonly finish: Finish;
}

/** The map of eight queries is made in the memory of the workgroup, and multiplied by the values. */
const attentionKernel = kernel("attention", (template: Template, gpu) => {
  const { finish, most, group } = template;
  const divided = gpu.subgroupSize > 0 && group < gpu.subgroupSize;
  const keys = new Right("keys", template.keys);
  const values = new Right("values", template.values);
  return {
    inputs: { q: "f32", keys: keys.type, values: values.type, ...biasTypes(template), ...finish.inputs },
    outputs: finish.outputs,
    uniforms: { ...attentionUniforms(keys, values), ...finish.uniforms },
    workgroupSize: lanesOf(gpu),
    subgroups: gpu.subgroupSize > 0,
    source: `${finish.source}
${map(gpu, template)}
  let valuesBase = ${baseOf("values")};
  for (var first = 0u; first * 4u < u.width; first += WG) {
    let col = first + lane${divided ? ` % ${group}u` : ""};
    ${values.start("valuesBase", "col", "u.width")}
    ${product(gpu, values, "u.keys", (r, k) => `map[${r * most}u + ${k}]`, group)}
    if (col * 4u < u.width${divided ? ` && lane < ${group}u` : ""}) {
      ${storeRows({ rows: ROWS, finish }, (r) => `acc${r} * scales[${r}]`, { m: "u.rows", n: "u.width" })}
    }
  }
}`,
  };
});

/** Whether there is a kernel for attention over so many keys, with its gradient or without. */
export function takesAttention({ depth, width, keys, gradient }: AttentionSizes): boolean {
  if (narrow(depth, width) && !gradient) return keys <= MOST_KEYS_OF_ROWS;
  return Math.max(depth, width, keys) <= MOST_KEYS;
}

const narrow = (depth: number, width: number): boolean => Math.max(depth, width) <= MOST_WIDE;

/** Attention, without a map in memory. */
export function attention(gpu: Gpu, call: AttentionCall): void {
  const { k, v, biases, out, epilogue } = call;
  const [batch, n, e] = out.layout.shape as [number, number, number];
  if (narrow(call.q.layout.shape[3]!, e)) {
    attentionRows(gpu, call);
    return;
  }
  const template = templateOf(gpu, transposed(k), v, { batch, n, m: v.layout.shape[2]! });
  const { operands, uniforms } = ofMap(call, template.keys);
  finishing(gpu, out, epilogue, e % 4 === 0, (finish) => {
    for (const { first, count } of pieces([Math.ceil(n / ROWS), batch, 1])) {
      attentionKernel.run(gpu, {
        template: { ...template, biases: biases.length, group: groupOf(gpu, e), finish },
        operands: { ...operands, values: v, ...finish.operands },
        uniforms: {
          ...uniforms,
          ...rightValues("values", v, template.values),
          width: e,
          firstGroup: first,
          ...finish.values,
        },
        workgroups: count,
      });
    }
  });
}

interface SlopesTemplate extends MapTemplate {
  readonly values: Along;
  readonly wide: boolean;
}

/**
 * After the map comes its gradient, which takes its place in the workgroup's memory until its sum with the map over a row is known. Meanwhile the map
 * lies where it is to be written, each part where the thread that reads it again has put it.
 */
const slopesKernel = kernel("attention-slopes", (template: SlopesTemplate, gpu) => {
  const { most, wide } = template;
  const keys = new Right("keys", template.keys);
  const values = new Right("values", template.values);
  const T = wide ? "vec4f" : "f32";
  const four = `vec4f(map[at], map[at + 1u], map[at + 2u], map[at + 3u])`;
  const line = "(batch * u.rows + row + r) * u.keys";
  const store = (name: string, value: string): string =>
    wide
      ? `${name}[${line} / 4u + col] = ${value};`
      : `let stored = ${value}; for (var j = u.zero; j < min(u.keys - to, 4u); j++) { ${name}[${line} + to + j] = stored[j]; }`;
  const loaded = wide
    ? `weights[${line} / 4u + col]`
    : `vec4f(${[0, 1, 2, 3].map((j) => `weights[${line} + min(to + ${j}u, u.keys - 1u)]`).join(", ")})`;
  return {
    inputs: { q: "f32", keys: keys.type, values: values.type, dy: "f32", ...biasTypes(template) },
    outputs: { weights: T, slopes: T },
    uniforms: {
      ...attentionUniforms(keys, values),
      ...{ factor: "f32", dyRow: "u32", dyCol: "u32", dyBatch: "vec4u" },
    } as Record<string, UniformType>,
    workgroupSize: lanesOf(gpu),
    subgroups: gpu.subgroupSize > 0,
    source: `
${map(gpu, template)}
  let valuesBase = ${baseOf("values")};
  let dyBase = ${baseOf("dy")};
  ${each((r) => `let dyFrom${r} = dyBase + min(row + ${r}u, u.rows - 1u) * u.dyRow; var sum${r} = 0.0;`)}
  for (var first = 0u; first * 4u < u.keys; first += WG) {
    let col = first + lane;
    ${values.start("valuesBase", "col", "u.keys")}
    ${product(gpu, values, "u.width", (r, k) => `dy[dyFrom${r} + (${k}) * u.dyCol]`)}
    let to = col * 4u;
    let hidden = vec4u(to) + vec4u(0u, 1u, 2u, 3u) >= vec4u(u.keys);
    if (to < u.keys) {
      ${overRows(`
        let at = r * ${most}u + to;
        let weight = select(${four} * scales[r], vec4f(), hidden);
        let slope = select(${pick("acc")}, vec4f(), hidden);
        let product = dot(weight, slope);
        ${each((r) => `sum${r} += select(0.0, product, r == ${r}u);`)}
        for (var j = u.zero; j < u.zero + 4u; j++) { map[at + j] = slope[j]; }
        if (row + r < u.rows) { ${store("weights", "weight")} }`)}
    }
  }
  ${overRows(`
    let total = rowSum(${pick("sum")}, lane);
    if (lane == 0u) { scales[r] = total; }`)}
  workgroupBarrier();
  for (var first = 0u; first * 4u < u.keys; first += WG) {
    let col = first + lane;
    let to = col * 4u;
    if (to < u.keys) {
      ${overRows(`
        let at = r * ${most}u + to;
        if (row + r < u.rows) { ${store("slopes", `${loaded} * (${four} - scales[r]) * u.factor`)} }`)}
    }
  }
}`,
  };
});

/** Map and gradient of the scores. At most {@link MOST_KEYS} keys. */
export function attentionSlopes(gpu: Gpu, call: AttentionSlopesCall): void {
  const { k, v, biases, factor, dy, weights, slopes } = call;
  const [batch, n, m] = weights.layout.shape as [number, number, number];
  const values = transposed(v);
  const template = templateOf(gpu, transposed(k), values, { batch, n, m });
  const { operands, uniforms } = ofMap(call, template.keys);
  for (const { first, count } of pieces([Math.ceil(n / ROWS), batch, 1])) {
    slopesKernel.run(gpu, {
      template: { ...template, biases: biases.length, wide: m % 4 === 0 },
      operands: { ...operands, values, dy, weights, slopes },
      uniforms: {
        ...uniforms,
        ...rightValues("values", values, template.values),
        ...batchValues("dy", dy),
        width: v.layout.shape[3]!,
        factor,
        dyRow: dy.layout.strides[2]!,
        dyCol: dy.layout.strides[3]!,
        firstGroup: first,
      },
      workgroups: count,
    });
  }
}
