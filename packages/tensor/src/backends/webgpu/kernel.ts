import type { View } from "../../backend.ts";
import { env } from "../../env.ts";
import { describe } from "../../errors.ts";
import type { BufferStorage, Compiled, Gpu, Uniforms, UniformType } from "./gpu.ts";

/** A kernel for one set of template parameters. */
export interface KernelSpec<Operands extends string, Uniforms extends string> {
  /** Element type of each operand that is read, in binding order. */
  readonly inputs: Readonly<Partial<Record<Operands, string>>>;
  /** Element type of each operand that is written (or read and written). */
  readonly outputs: Readonly<Partial<Record<Operands, string>>>;
  readonly uniforms: Readonly<Record<Uniforms, UniformType>>;
  readonly workgroupSize: number;
  /** True when the body calls subgroup functions. */
  readonly subgroups?: boolean;
  /** WGSL after the header: constants, functions and `main`, which is declared with `@compute @workgroup_size(WG)`. */
  readonly source: string;
}

/** One launch: every operand, every uniform, and the grid. */
export interface Launch<Params, Operands extends string, Uniforms extends string> {
  readonly template: Params;
  readonly operands: Readonly<Partial<Record<Operands, View>>>;
  readonly uniforms: Readonly<Record<Uniforms, number | readonly number[]>>;
  readonly workgroups: number | readonly [number, number?, number?];
  /** Uniforms that are others in a replay, asked before it: where this is recorded. */
  readonly later?: () => Readonly<Partial<Record<Uniforms, number>>>;
}

/** A family of kernels: `run` compiles the variant for its template parameters once a device and records a launch. */
export interface Kernel<Params, Operands extends string, Uniforms extends string> {
  readonly name: string;
  run(gpu: Gpu, launch: Launch<Params, Operands, Uniforms>): void;
}

const FIELD_BYTES: Record<string, number> = { u32: 4, i32: 4, f32: 4, vec4u: 16, vec4i: 16, vec4f: 16 };

function layoutUniforms(uniforms: Readonly<Record<string, UniformType>>): {
  fields: { name: string; type: UniformType; offset: number }[];
  bytes: number;
} {
  let offset = 0;
  const fields = Object.entries(uniforms).map(([name, type]) => {
    const count = /, (\d+)>/.exec(type);
    const bytes = FIELD_BYTES[type] ?? 16 * Number(count?.[1]);
    if (bytes >= 16) offset = Math.ceil(offset / 16) * 16;
    const field = { name, type, offset };
    offset += bytes;
    return field;
  });
  return { fields, bytes: Math.ceil(offset / 16) * 16 };
}

/**
 * Declares a kernel. `specialise` turns template parameters (dtypes, tile sizes, whether something is contiguous) into WGSL;
 * shapes never belong there, they are uniforms. Compiled variants are kept for each device.
 */
export function kernel<Params extends object, Operands extends string, Uniforms extends string>(
  name: string,
  specialise: (params: Params, gpu: Gpu) => KernelSpec<Operands, Uniforms>,
): Kernel<Params, Operands, Uniforms> {
  const perDevice = new WeakMap<Gpu, Map<string, Compiled>>();
  return {
    name,
    run(gpu, launch) {
      let variants = perDevice.get(gpu);
      if (!variants) {
        variants = new Map();
        perDevice.set(gpu, variants);
      }
      const key = keyOf(launch.template);
      let compiled = variants.get(key);
      if (!compiled) {
        compiled = compile(gpu, key ? `${name}<${key}>` : name, specialise(launch.template, gpu));
        variants.set(key, compiled);
      }
      if (env().debug >= 3) traceLaunch(compiled.name, launch.operands);
      const { uniforms, later } = launch;
      const again = later && (() => pack(compiled, { ...uniforms, ...later() }));
      gpu.queue.launch(
        compiled,
        storages(compiled, launch.operands),
        pack(compiled, uniforms),
        grid(launch.workgroups),
        again,
      );
    },
  };
}

/** The values of a template, which are few and short. */
function keyOf(template: object): string {
  let key = "";
  for (const name in template)
    key += `${key === "" ? "" : "|"}${(template as Readonly<Record<string, unknown>>)[name]}`;
  return key;
}

/** A launch with its operands and the first line of the caller's own code. */
function traceLaunch(name: string, operands: Readonly<Partial<Record<string, View>>>): void {
  const shapes = Object.entries(operands).map(
    ([operand, view]) => view && `${operand} ${describe({ dtype: view.dtype, shape: view.layout.shape })}`,
  );
  // Bundlers would take the two in one for the address of a file.
  const here = import.meta.url;
  const engine = new URL("../..", here).href;
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 50;
  const { stack } = new Error();
  Error.stackTraceLimit = stackTraceLimit;
  const caller = stack?.split("\n").find((line) => line.includes("://") && !line.includes(engine));
  console.error(`deplsr: ${name} (${shapes.join(", ")})${caller ? ` ${caller.trim()}` : ""}`);
}

function storages(compiled: Compiled, operands: Readonly<Partial<Record<string, View>>>): BufferStorage[] {
  const found: BufferStorage[] = [];
  for (const name of compiled.operandNames) {
    const view = operands[name];
    if (!view) throw new Error(`internal: ${compiled.name} was launched without operand ${name}`);
    found.push((view.storage as BufferStorage).recorded());
  }
  return found;
}

/** Words of a block of uniforms: those of a few hundred launches, since an array for each costs more than what is in it. */
const BLOCK_WORDS = 16_384;
let block = { words: new Uint32Array(0), floats: new Float32Array(0), used: 0 };

function pack(compiled: Compiled, uniforms: Readonly<Record<string, number | readonly number[]>>): Uniforms {
  const count = compiled.uniformBytes / 4;
  if (block.used + count > block.words.length) {
    const words = new Uint32Array(Math.max(BLOCK_WORDS, count));
    block = { words, floats: new Float32Array(words.buffer), used: 0 };
  }
  const { words, floats, used: from } = block;
  block.used += count;
  for (const { name, word, float } of compiled.uniformFields) {
    const value = uniforms[name];
    if (value === undefined) throw new Error(`internal: ${compiled.name} was launched without uniform ${name}`);
    // A Uint32Array stores -1 as its two's complement, which is what an i32 field reads.
    const target = float ? floats : words;
    if (typeof value === "number") target[from + word] = value;
    else for (let i = 0; i < value.length; i++) target[from + word + i] = value[i]!;
  }
  return { words, from };
}

function grid(workgroups: number | readonly [number, number?, number?]): readonly [number, number, number] {
  return typeof workgroups === "number"
    ? foldGrid(workgroups)
    : [workgroups[0], workgroups[1] ?? 1, workgroups[2] ?? 1];
}

/** A grid dimension ends at 65,535: larger counts fold into y. Kernels use `workgroupIndex` and guard the surplus. */
export function foldGrid(count: number): readonly [number, number, number] {
  if (count <= 65535) return [count, 1, 1];
  const y = Math.ceil(count / 65535);
  return [Math.ceil(count / y), y, 1];
}

/**
 * `quotient(x, d)` is `x / d` of whole numbers, for any x and d of at least 1. What is divided by is seldom known to a compiler, and a division of vectors of whole
 * numbers is what CPUs do not have (lavapipe divides lane by lane) and graphics cards do in twenty steps: one of floats, whose remainder is divided once more, is exact in
 * ten. The first quotient is off by 2¹² at most, however far 1 / d is rounded, and the second by 1.
 */
const QUOTIENT = `fn quotient(x: u32, d: u32) -> u32 {
  let inverse = 1.0 / f32(d);
  let near = u32(f32(x) * inverse);
  let next = near + bitcast<u32>(i32(floor(f32(bitcast<i32>(x - near * d)) * inverse)));
  let rest = bitcast<i32>(x - next * d);
  return next + select(select(0u, 1u, rest >= bitcast<i32>(d)), 0xffffffffu, rest < 0);
}`;

function compile(gpu: Gpu, name: string, spec: KernelSpec<string, string>): Compiled {
  const inputs = Object.entries(spec.inputs);
  const outputs = Object.entries(spec.outputs);
  const { fields, bytes } = layoutUniforms(spec.uniforms);
  const types = [...inputs, ...outputs].map(([, type]) => type);
  const lines: string[] = [];
  if (types.some((type) => type?.includes("f16") || type?.includes("vec4h"))) lines.push("enable f16;");
  if (spec.subgroups) lines.push("enable subgroups;");
  lines.push(`const WG = ${spec.workgroupSize}u;`);
  inputs.forEach(([operand, type], i) => {
    lines.push(`@group(0) @binding(${i}) var<storage, read> ${operand}: array<${type}>;`);
  });
  outputs.forEach(([operand, type], i) => {
    lines.push(`@group(0) @binding(${inputs.length + i}) var<storage, read_write> ${operand}: array<${type}>;`);
  });
  if (fields.length > 0) {
    lines.push(`struct Uniforms { ${fields.map((f) => `${f.name}: ${f.type}`).join(", ")} }`);
    lines.push(`@group(0) @binding(${types.length}) var<uniform> u: Uniforms;`);
  }
  if (spec.source.includes("quotient(")) lines.push(QUOTIENT);
  const code = `${lines.join("\n")}\n${spec.source}`;
  const bindGroupLayout = gpu.bindGroupLayout(inputs.length, outputs.length, bytes > 0);
  const compiled: Compiled = {
    name,
    code,
    inputs: inputs.length,
    operandNames: [...inputs, ...outputs].map(([operand]) => operand),
    uniformFields: fields.map(({ name, type, offset }) => ({ name, word: offset / 4, float: /f32|vec4f/.test(type) })),
    uniformBytes: bytes,
    bindGroupLayout,
    pipeline: undefined,
    problem: undefined,
    ready: gpu.compile(name, code, bindGroupLayout).then(({ pipeline, problem }) => {
      compiled.pipeline = pipeline;
      compiled.problem = problem;
    }),
    id: gpu.nextKernelId(),
  };
  return compiled;
}
