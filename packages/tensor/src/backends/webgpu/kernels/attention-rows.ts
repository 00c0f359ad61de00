import type { AttentionCall } from "../../../backend.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import {
  addend,
  attentionUniforms,
  baseOf,
  biasBases,
  biasTypes,
  ofMap,
  rightValues,
  templateOf,
  transposed,
} from "./attention-map.ts";
import type { Finish } from "./finish.ts";
import { pieces } from "./matmul.ts";
import { finishing } from "./pointwise.ts";
import { type Along, Right } from "./right.ts";

/** The widest queries, keys and values of which a thread has a row in registers, and what becomes of it in others. */
export const MOST_WIDE = 32;
/** As many keys make as many additions in a row as a product has. */
export const MOST_KEYS = 2048;

interface Template {
  /** Elements of a query, and of a value: as many registers, so that there is a kernel for each. */
  readonly depth: number;
  readonly width: number;
  /** Queries of a thread. */
  readonly queries: number;
  /** How keys and values lie, as matrices (depth, keys) and (width, keys). */
  readonly keys: Along;
  readonly values: Along;
  readonly biases: number;
  /** Whether the keys are not whole fours. */
  readonly ragged: boolean;
  /** Whether threads read for each other: where a load is dear, even if all read the same. */
  readonly shared: boolean;
  readonly finish: Finish;
}

const range = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i);

/** WGSL that does `work` with every row of a matrix of `count` rows, of which `v` is what stands in the four columns from `first` on. */
function eachRow(
  gpu: Gpu,
  name: "keys" | "values",
  { shared, ragged, [name]: along, ...sizes }: Template,
  work: (row: number) => string,
): string {
  const count = name === "keys" ? sizes.depth : sizes.width;
  if (!shared) {
    const right = new Right(name, along);
    const shown = ragged ? "let all = v; { let v = select(all, vec4f(), hidden);" : "{";
    const steps = range(count / right.together).map((group) =>
      right.steps((step) => `${shown} ${work(group * right.together + step)} }`),
    );
    return `{ let block = first / 4u;
      ${right.start(`${name}Base`, "block", "u.keys")}
      ${right.go("0u")}
      ${steps.join("\n      ")} }`;
  }
  const together = gpu.subgroupSize / 4;
  const parts = range(Math.ceil(count / together)).map((part) => {
    const line = `min(${part * together}u + lane / 4u, ${count - 1}u)`;
    const loaded = `${name}[${name}Base + ${line} * u.${name}Row + min(own, u.keys - 1u) * u.${name}Col]`;
    const rows = range(Math.min(together, count - part * together)).map((i) => {
      const four = range(4).map((j) => `subgroupBroadcast(part, ${4 * i + j}u)`);
      return `{ let v = vec4f(${four.join(", ")}); ${work(part * together + i)} }`;
    });
    return `{ let part = ${ragged ? `select(${loaded}, 0.0, own >= u.keys)` : loaded};
      ${rows.join("\n      ")} }`;
  });
  return `{ let own = first + lane % 4u;
      ${parts.join("\n      ")} }`;
}

/**
 * A thread has queries of its own, and walks over the keys, four at a time, which are the same for all threads: neither scores nor their exponentials are ever
 * stored, and no thread waits for another. A larger maximum shrinks what was summed before.
 * @see https://arxiv.org/abs/1805.02867, algorithm 3
 */
const rowsKernel = kernel("attention-rows", (template: Template, gpu) => {
  const { depth, width, queries, biases, ragged, shared, finish } = template;
  const each = (text: (i: number) => string): string => range(queries).map(text).join("\n    ");
  const all = (text: (c: number) => string): string => range(width).map(text).join(" ");
  const added = (i: number): string =>
    range(biases)
      .map((bias) => ` + ${addend(bias, `${i}u * WG`)}`)
      .join("");
  const weights = "exp(max(shown - top, vec4f(-104.0)))";
  const [keys, values] = [new Right("keys", template.keys), new Right("values", template.values)];
  return {
    inputs: { q: "f32", keys: keys.type, values: values.type, ...biasTypes(template), ...finish.inputs },
    outputs: finish.outputs,
    uniforms: { ...attentionUniforms(keys, values), ...finish.uniforms },
    workgroupSize: threadsOf(gpu),
    subgroups: shared,
    source: `${finish.source}
// Below every number but -inf, so that differences are never inf - inf.
const LOWEST = -3.4028234e38;
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = (group.x + u.firstGroup.x) * ${queries}u * WG + lane;
  let batch = group.y + u.firstGroup.y;
  let qBase = ${baseOf("q")};
  let keysBase = ${baseOf("keys")};
  let valuesBase = ${baseOf("values")};
  ${biasBases(biases)}
  ${each(
    (i) => `let from${i} = qBase + min(row + ${i}u * WG, u.rows - 1u) * u.qRow;
    ${range(depth)
      .map((k) => `let q${i}_${k} = q[from${i} + ${k}u * u.qCol];`)
      .join(" ")}
    var top${i} = LOWEST; var total${i} = 0.0; var bits${i} = 0u;
    ${all((c) => `var sum${i}_${c} = 0.0;`)}`,
  )}
  for (var first = 0u; first < u.keys; first += 4u) {
    let hidden = vec4u(first) + vec4u(0u, 1u, 2u, 3u) >= vec4u(u.keys);
    let key = min(vec4u(first) + vec4u(0u, 1u, 2u, 3u), vec4u(u.keys - 1u));
    ${each((i) => `var score${i} = vec4f(); var weight${i}: vec4f;`)}
    ${eachRow(gpu, "keys", template, (k) => each((i) => `score${i} = fma(vec4f(q${i}_${k}), v, score${i});`))}
    ${each(
      (i) => `{
      let scores = score${i} * u.scale${added(i)};
      // The largest bits but for the sign: those of a NaN are above those of an infinity.
      let bits = bitcast<vec4u>(scores) & vec4u(0x7fffffffu);
      bits${i} = max(bits${i}, max(max(bits.x, bits.y), max(bits.z, bits.w)));
      let shown = ${ragged ? "select(scores, vec4f(LOWEST), hidden)" : "scores"};
      let top = max(top${i}, max(max(shown.x, shown.y), max(shown.z, shown.w)));
      // exp(-104) is already 0 in f32; some drivers go wrong far below.
      let shrink = exp(max(top${i} - top, -104.0));
      weight${i} = ${ragged ? `select(${weights}, vec4f(), hidden)` : weights};
      total${i} = fma(total${i}, shrink, (weight${i}.x + weight${i}.y) + (weight${i}.z + weight${i}.w));
      ${all((c) => `sum${i}_${c} *= shrink;`)}
      top${i} = top;
    }`,
    )}
    ${eachRow(gpu, "values", template, (c) => each((i) => `sum${i}_${c} += dot(weight${i}, v);`))}
  }
  ${store(template)}
}`,
  };
});

/**
 * WGSL that stores the rows of a thread, four columns at a time, in a loop that begins and ends where no compiler knows, see `rowByRow`. A row whose maximum is not
 * finite (a NaN, +∞, or nothing but −∞) has no softmax and becomes NaN.
 */
function store({ queries, width, finish }: Template): string {
  const blocks = range(Math.ceil(width / 4));
  const scales = range(queries).map(
    (
      i,
    ) => `let valid${i} = bits${i} <= 0x7f800000u && (bitcast<u32>(top${i}) & 0x7f800000u) != 0x7f800000u && total${i} > 0.0;
  let scale${i} = select(bitcast<f32>(0x7fc00000u + u.zero), 1.0 / total${i}, valid${i});`,
  );
  const sum = (i: number, c: number): string => (c < width ? `sum${i}_${c}` : "0.0");
  const results = range(queries).flatMap((i) =>
    blocks.map((block) => `vec4f(${[0, 1, 2, 3].map((j) => sum(i, 4 * block + j)).join(", ")}) * scale${i}`),
  );
  return `${scales.join("\n  ")}
  ${results.map((result, i) => `let result${i} = ${result};`).join(" ")}
  for (var part = u.zero; part < u.zero + ${results.length}u; part++) {
    var result = result0;
    ${results.map((_, i) => `result = select(result, result${i}, part == ${i}u);`).join("\n    ")}
    let at = row + part / ${blocks.length}u * WG;
    let to = part % ${blocks.length}u * 4u;
    if (at >= u.rows) { continue; }
    let line = (batch * u.rows + at) * u.width + to;
    ${
      finish.width === 4
        ? "finish(line / 4u, result);"
        : "for (var c = u.zero; c < min(4u, u.width - to); c++) { finish(line + c, result[c]); }"
    }
  }`;
}

function threadsOf(gpu: Gpu): number {
  return gpu.software ? gpu.subgroupSize || 32 : 64;
}

/** Attention over at most {@link MOST_KEYS} keys, with heads of at most {@link MOST_WIDE}. */
export function attentionRows(gpu: Gpu, call: AttentionCall): void {
  const { q, k, biases, out, epilogue } = call;
  const [batch, n, width] = out.layout.shape as [number, number, number];
  const depth = q.layout.shape[3]!;
  const v = transposed(call.v);
  const m = v.layout.shape[3]!;
  const shared = gpu.software && gpu.subgroupSize >= 4;
  const apart = { keys: "none", values: "none" } as const;
  const { keys, values } = shared ? apart : templateOf(gpu, transposed(k), v, { batch, n, m });
  const { operands, uniforms } = ofMap(call, keys);
  // Those of a CPU have so few registers that more is worth it where rows are short alone.
  const queries = gpu.software && depth + width <= 32 ? 2 : 1;
  finishing(gpu, out, epilogue, width % 4 === 0, (finish) => {
    for (const { first, count } of pieces([Math.ceil(n / (queries * threadsOf(gpu))), batch, 1])) {
      rowsKernel.run(gpu, {
        template: { depth, width, queries, keys, values, biases: biases.length, ragged: m % 4 !== 0, shared, finish },
        operands: { ...operands, values: v, ...finish.operands },
        uniforms: { ...uniforms, ...rightValues("values", v, values), width, firstGroup: first, ...finish.values },
        workgroups: count,
      });
    }
  });
}
