/** The map of attention, in the memory of a workgroup: what the kernels of attention and of its gradient begin with. */
import type { AttentionCall, View } from "../../../backend.ts";
import type { Gpu, UniformType } from "../gpu.ts";
import { type Along, inVectors, Right } from "./right.ts";
import { rowReductions } from "./wgsl.ts";

/** Queries that a workgroup has at a time. */
export const ROWS = 8;
/** Keys for which the map of so many queries fits into what every adapter has for a workgroup: 16 KiB, of which sums take some. */
export const MOST_KEYS = 448;
/** As many keys as memory is set aside for: few, so that kernels are few. */
const KEYS = [128, 256, MOST_KEYS];

const NUMBERS = [0, 1, 2, 3, 4, 5, 6, 7];

/**
 * WGSL that runs `body` for each row `r`, in a loop that begins and ends where no compiler knows: it would be written out eight times else, and take
 * many seconds to compile where the driver makes code for a CPU.
 */
export function overRows(body: string): string {
  return `for (var r = u.zero; r < u.zero + ${ROWS}u; r++) {${body}
    }`;
}

/** WGSL of that of eight variables which belongs to row `r`. */
export function pick(name: string): string {
  return NUMBERS.slice(1).reduce((picked, r) => `select(${picked}, ${name}${r}, r == ${r}u)`, `${name}0`);
}

export function each(text: (r: number) => string): string {
  return NUMBERS.map(text).join("\n    ");
}

/** Of a batch of matrices: strides of its first two axes, how many there are of the second, and where it begins. */
function batchUniforms(names: readonly string[]): Record<string, UniformType> {
  return Object.fromEntries(names.map((name) => [`${name}Batch`, "vec4u"]));
}

export function batchValues(name: string, { layout }: View, unit = 1): Record<string, readonly number[]> {
  const [outer, inner] = layout.strides as [number, number];
  return { [`${name}Batch`]: [outer / unit, inner / unit, layout.shape[1]!, layout.offset / unit] };
}

export function baseOf(name: string): string {
  const batch = `u.${name}Batch`;
  return `${batch}.w + (batch / ${batch}.z) * ${batch}.x + (batch % ${batch}.z) * ${batch}.y`;
}

/** Queries, keys and biases: what both kernels make a map of. */
export interface MapTemplate {
  /** How keys lie as the right matrix (d, m). */
  readonly keys: Along;
  readonly most: number;
  readonly biases: number;
}

/**
 * WGSL of eight rows `acc0` … of a product with four columns of `right`, over `depth` steps, of which every thread reads some of the left
 * matrix and hands them to the others; without subgroups each reads all. `left` is the element of a row at a step.
 *
 * @param group threads that have all columns between them: each such group of a subgroup takes other steps, and all have their sums in the end
 */
export function product(
  gpu: Gpu,
  right: Right,
  depth: string,
  left: (row: number, k: string) => string,
  group: number = gpu.subgroupSize,
): string {
  const size = gpu.subgroupSize;
  const sums = each((r) => `var acc${r} = vec4f();`);
  if (size === 0) {
    return `${sums}
    ${right.go("0u")}
    for (var k = 0u; k < ${depth}; k += ${right.together}u) {
      ${right.steps((step) => each((r) => `acc${r} = fma(vec4f(${left(r, `k + ${step}u`)}), v, acc${r});`))}
    }`;
  }
  const divided = group < size;
  const own = (r: number): string => `select(0.0, ${left(r, `min(k + lane, ${depth} - 1u)`)}, k + lane < ${depth})`;
  const firstStep = divided ? `k + lane / ${group}u * ${group}u` : "k";
  const handed = (r: number, step: number): string => {
    if (!divided) return `subgroupBroadcast(a${r}, ${step}u)`;
    return group === 4
      ? `quadBroadcast(a${r}, ${step}u)`
      : `subgroupShuffle(a${r}, lane / ${group}u * ${group}u + ${step}u)`;
  };
  // Past the end other things are read, which may be anything.
  const add = (step: number): string =>
    `let w = select(v, vec4f(), begin + ${step}u >= ${depth});
    ${each((r) => `acc${r} = fma(vec4f(${handed(r, step)}), w, acc${r});`)}`;
  const fours = Array.from({ length: group / 4 }, (_, i) => 4 * i).map((first) => {
    const lanes = Array.from({ length: 4 / right.together }, (_, i) => first + i * right.together);
    const steps = lanes.map((lane) => right.steps((step) => add(lane + step))).join("\n      ");
    // Most are deeper than four: all threads stop at once.
    return divided || first === 0 ? steps : `if (k + ${first}u < ${depth}) { ${steps} }`;
  });
  const distances = [4, 8, 16, 32, 64].filter((distance) => distance >= group && distance < size);
  return `${sums}
    for (var k = 0u; k < ${depth}; k += WG) {
      let begin = ${firstStep};
      ${each((r) => `let a${r} = ${own(r)};`)}
      ${right.go("begin")}
      ${fours.join("\n      ")}
    }
    ${distances.map((distance) => each((r) => `acc${r} += subgroupShuffleXor(acc${r}, ${distance}u);`)).join("\n    ")}`;
}

/** How many threads have `width` columns, four each, between them: a power of two, and at most a subgroup. */
export function groupOf(gpu: Gpu, width: number): number {
  let group = 4;
  while (group < gpu.subgroupSize && 4 * group < width) group *= 2;
  return Math.min(group, lanesOf(gpu));
}

const MAP_UNIFORMS = {
  rows: "u32",
  keys: "u32",
  depth: "u32",
  scale: "f32",
  zero: "u32",
  qRow: "u32",
  qCol: "u32",
  firstGroup: "vec4u",
} as const;

/** The batch's three axes; of each bias the strides of these and of its rows; and of both those of keys and where they begin. */
const BIAS_UNIFORMS = {
  biasShape: "vec4u",
  bias0Strides: "vec4u",
  bias1Strides: "vec4u",
  biasKey: "vec4u",
  biasFrom: "vec4u",
} as const;

/** Uniforms of a kernel of queries, keys and values, beside those of how it ends. */
export function attentionUniforms(keys: Right, values: Right): Readonly<Record<string, UniformType>> {
  return {
    ...MAP_UNIFORMS,
    width: "u32",
    ...batchUniforms(["q", "keys", "values"]),
    ...keys.uniforms,
    ...values.uniforms,
    ...BIAS_UNIFORMS,
  };
}

export function biasTypes({ biases }: Pick<MapTemplate, "biases">): {
  readonly bias0?: string;
  readonly bias1?: string;
} {
  return { ...(biases > 0 && { bias0: "f32" }), ...(biases > 1 && { bias1: "f32" }) };
}

function biasOperands([first, second]: readonly View[]): { readonly bias0?: View; readonly bias1?: View } {
  return { ...(first && { bias0: first }), ...(second && { bias1: second }) };
}

function biasValues(biases: readonly View[]): Record<keyof typeof BIAS_UNIFORMS, readonly number[]> {
  const strides = (i: number): readonly number[] => biases[i]?.layout.strides.slice(0, 4) ?? [0];
  return {
    biasShape: biases[0]?.layout.shape.slice(0, 3) ?? [1, 1, 1],
    bias0Strides: strides(0),
    bias1Strides: strides(1),
    biasKey: biases.map(({ layout }) => layout.strides[4]!),
    biasFrom: biases.map(({ layout }) => layout.offset),
  };
}

/**
 * WGSL of `main` up to where exponentials of the scores of eight queries stand in the memory of the workgroup, and beside them what makes a map of
 * them: what each row is multiplied by. A row whose maximum is not finite (a NaN, +∞, or nothing but −∞) has no softmax and becomes NaN.
 */
export function map(gpu: Gpu, { keys: along, most, biases }: MapTemplate): string {
  const keys = new Right("keys", along);
  const numbers = [0, 1].slice(0, biases);
  return `
var<workgroup> map: array<f32, ${ROWS * most}>;
var<workgroup> scales: array<f32, ${ROWS}>;
${rowReductions(gpu, lanesOf(gpu)).source}
// Below every number but -inf, so that differences are never inf - inf.
const LOWEST = -3.4028234e38;
// exp(-104) is already 0 in f32; some drivers go wrong far below.
fn power(x: f32) -> f32 { return exp(max(x, -104.0)); }
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = (group.x + u.firstGroup.x) * ${ROWS}u;
  let batch = group.y + u.firstGroup.y;
  let qBase = ${baseOf("q")};
  let keysBase = ${baseOf("keys")};
  ${biasBases(biases)}
  ${each((r) => `let from${r} = qBase + min(row + ${r}u, u.rows - 1u) * u.qRow; var best${r} = LOWEST;`)}
  for (var first = 0u; first * 4u < u.keys; first += WG) {
    let col = first + lane;
    ${keys.start("keysBase", "col", "u.keys")}
    ${product(gpu, keys, "u.depth", (r, k) => `q[from${r} + (${k}) * u.qCol]`)}
    let to = min(col * 4u, ${most - 4}u);
    let hidden = (vec4u(col * 4u) + vec4u(0u, 1u, 2u, 3u)) >= vec4u(u.keys);
    let key = min(vec4u(col * 4u) + vec4u(0u, 1u, 2u, 3u), vec4u(u.keys - 1u));
    ${overRows(`
      let scores = ${pick("acc")} * u.scale${numbers.map((i) => ` + ${addend(i)}`).join("")};
      let shown = select(scores, vec4f(LOWEST), hidden);
      let best = max(max(shown.x, shown.y), max(shown.z, shown.w));
      ${each((r) => `best${r} = select(best${r}, max(best${r}, best), r == ${r}u);`)}
      for (var j = u.zero; j < u.zero + 4u && !hidden.x; j++) { map[r * ${most}u + to + j] = scores[j]; }`)}
  }
  workgroupBarrier();
  ${overRows(`
    let line = r * ${most}u;
    let top = rowMax(${pick("best")}, lane);
    var sum = 0.0;
    // The largest bits but for the sign: those of a NaN are above those of an infinity.
    var bits = 0u;
    for (var key = lane; key < u.keys; key += WG) {
      let score = map[line + key];
      let e = power(score - top);
      map[line + key] = e;
      sum += e;
      bits = max(bits, bitcast<u32>(score) & 0x7fffffffu);
    }
    let total = rowSum(sum, lane);
    let nan = rowMax(select(0.0, 1.0, bits > 0x7f800000u), lane) > 0.0;
    let valid = !nan && (bitcast<u32>(top) & 0x7f800000u) != 0x7f800000u && total > 0.0;
    if (lane == 0u) { scales[r] = select(bitcast<f32>(0x7fc00000u + u.zero), 1.0 / total, valid); }`)}
  workgroupBarrier();`;
}

/** WGSL of where each bias of a matrix begins. */
export function biasBases(biases: number): string {
  const bases = [0, 1].slice(0, biases).map((i) => {
    const strides = `u.bias${i}Strides`;
    return `let biasBase${i} = u.biasFrom[${i}] + (batch / (u.biasShape.y * u.biasShape.z)) * ${strides}.x
    + (batch / u.biasShape.z % u.biasShape.y) * ${strides}.y + (batch % u.biasShape.z) * ${strides}.z;`;
  });
  return bases.join("\n  ");
}

/** WGSL of what bias `i` adds to the scores of four keys in row `r`. */
export function addend(i: number, r = "r"): string {
  const line = `biasBase${i} + min(row + ${r}, u.rows - 1u) * u.bias${i}Strides.w`;
  return `vec4f(${["x", "y", "z", "w"].map((part) => `bias${i}[${line} + key.${part} * u.biasKey[${i}]]`).join(", ")})`;
}

/** A workgroup is one subgroup where its size is known. */
export function lanesOf(gpu: Gpu): number {
  return gpu.subgroupSize || 32;
}

/** Uniforms and operands of the map, with keys that lie as the template says. */
export function ofMap(
  { scale, q, k, biases }: Pick<AttentionCall, "scale" | "q" | "k" | "biases">,
  along: Along,
): {
  readonly operands: Record<string, View>;
  readonly uniforms: Record<string, number | readonly number[]>;
} {
  const keys = transposed(k);
  const [, , rows, depth] = q.layout.shape as [number, number, number, number];
  const [, , qRow, qCol] = q.layout.strides as [number, number, number, number];
  return {
    operands: { q, keys, ...biasOperands(biases) },
    uniforms: {
      ...{ rows, keys: keys.layout.shape[3]!, depth, scale, qRow, qCol, zero: 0 },
      ...batchValues("q", q),
      ...rightValues("keys", keys, along),
      ...biasValues(biases),
    },
  };
}

/** Uniforms of a right matrix. */
export function rightValues(name: string, view: View, along: Along): Record<string, number | readonly number[]> {
  const right = new Right(name, along);
  const [, , row, col] = view.layout.strides as [number, number, number, number];
  return { ...batchValues(name, view, right.unit), ...right.values(row, col) };
}

export function transposed(view: View): View {
  const swap = ([a, b, c, d]: readonly number[]): number[] => [a!, b!, d!, c!];
  const { shape, strides, offset } = view.layout;
  return { ...view, layout: { shape: swap(shape), strides: swap(strides), offset } };
}

/** Scores below which software adapters have the plainest kernel, since it takes seconds to compile one. */
const FEW_SCORES = 2 ** 16;

/** What depends on how keys and values lie, as right matrices, and on how many keys there are. */
export function templateOf(
  gpu: Gpu,
  keys: View,
  values: View,
  { batch, n, m }: { batch: number; n: number; m: number },
): {
  readonly keys: Along;
  readonly values: Along;
  readonly most: number;
} {
  const plain = gpu.software && batch * n * m < FEW_SCORES;
  const along = (view: View): Along => {
    if (plain) return "none";
    return inVectors(view, 3) ? "columns" : inVectors(view, 2) ? "k" : "none";
  };
  return { keys: along(keys), values: along(values), most: KEYS.find((most) => most >= m)! };
}
