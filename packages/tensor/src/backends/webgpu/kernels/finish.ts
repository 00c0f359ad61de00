import type { Epilogue, View } from "../../../backend.ts";
import type { DType } from "../../../dtype.ts";
import { signatureOf } from "../../../expr/expr.ts";
import { collapse } from "../../../layout.ts";
import { denseStrides } from "../../../shape.ts";
import type { UniformType } from "../gpu.ts";
import { aliases, aliasOf, printWgsl } from "../print-wgsl.ts";
import { type Access, type Operand, type Plan, planOf } from "./finish-plan.ts";
import { elementType, MAX_RANK, unravel } from "./wgsl.ts";

/**
 * How a kernel stores what it has computed: `finish(i, x)` computes a pointwise tree for one element, or for four neighbouring ones, and stores
 * the result; `i` counts elements, or vectors of four, in row-major order. A part of kernels, to be spread into what they bind and declare; as
 * a template parameter it stands for all that its WGSL depends on.
 */
export interface Finish {
  readonly width: 1 | 4;
  /** What makes two of them the same code. */
  toString(): string;
  /** What it reads, beside the kernel's own inputs. */
  readonly inputs: Readonly<Record<string, string>>;
  /** What it writes, the kernel's only output. */
  readonly outputs: { readonly y: string };
  readonly operands: Readonly<Record<string, View>>;
  /** Fields among the kernel's uniforms. */
  readonly uniforms: Readonly<Record<string, UniformType>>;
  readonly values: Readonly<Record<string, number | readonly number[]>>;
  /** WGSL of `finish(i, x)`, and of what it needs; of `finish(i)` where the kernel computes nothing by itself. */
  readonly source: string;
}

/** The general one, of a tree whose operands lie in any way. */
export class TreeFinish implements Finish {
  readonly #call: Epilogue;
  readonly #plan: Plan;

  /** @param wide four neighbours at a time, where operands allow it */
  constructor(call: Epilogue, wide = true) {
    this.#call = call;
    this.#plan = planOf(call, wide);
  }

  get width(): 1 | 4 {
    return this.#plan.width;
  }

  /** Whether code can be written for as many axes as are left when those that lie side by side are joined. */
  static takes({ out, leaves }: Pick<Epilogue, "out" | "leaves">): boolean {
    const { shape, strides } = out.layout;
    if (shape.length <= MAX_RANK) return true;
    const all = [denseStrides(shape), strides, ...leaves.map(({ layout }) => layout.strides)];
    return collapse(shape, all).shape.length <= MAX_RANK;
  }

  toString(): string {
    return this.#plan.key;
  }

  get inputs(): Record<string, string> {
    const inputs: Record<string, string> = {};
    this.#each(({ dtype, access, splat }, i) => {
      inputs[`x${i}`] = elementType(dtype, this.width === 4 && access !== "scalar" && !splat ? 4 : 1);
    });
    return inputs;
  }

  get outputs(): { y: string } {
    return { y: elementType(this.#call.out.dtype, this.width) };
  }

  get operands(): Record<string, View> {
    const operands: Record<string, View> = { y: this.#call.out };
    this.#each((_, i) => {
      operands[`x${i}`] = this.#call.leaves[i]!;
    });
    return operands;
  }

  get uniforms(): Record<string, UniformType> {
    const { length } = this.#call.leaves;
    return {
      zero: "u32",
      ...(this.#plan.rank > 1 && {
        rank: "u32",
        shape: "array<vec4u, 2>",
        strides: `array<vec4i, ${2 * length + 2}>` as const,
      }),
      offsets: `array<vec4u, ${Math.ceil((length + 1) / 4)}>`,
      ...(this.#call.params.length > 0 && {
        params: `array<vec4u, ${Math.ceil(this.#call.params.length / 4)}>` as const,
      }),
    };
  }

  get values(): Readonly<Record<string, number | readonly number[]>> {
    const { values } = this.#plan;
    const { params, tree } = this.#call;
    return params.length === 0 ? values : { ...values, params: wordsOf(params, signatureOf(tree).params) };
  }

  get source(): string {
    const { width } = this;
    const printed = printWgsl(
      this.#call.tree,
      (i) => this.#load(i),
      (i, dtype) => paramValue(i, dtype),
    );
    const { dtype } = this.#call.out;
    const stored = dtype === "bool" ? `select(U(0u), U(1u), ${printed.result})` : printed.result;
    // Rounded already where the tree ends in a cast to f16, as those of ops do; an adapter may round its own way else.
    const value = dtype === "f16" ? `${elementType(dtype, width)}(${stored})` : stored;
    const product = this.#call.leaves[this.#call.product]?.dtype ?? "f32";
    const productType = product === "bool" ? "U" : aliasOf(product);
    const strided = this.#plan.operands.flatMap(({ access }, i) =>
      access === "strided" && i !== this.#call.product ? [i + 1] : [],
    );
    if (this.#plan.outAccess === "strided") strided.unshift(0);
    return `${aliases(width)}
${printed.functions}
fn finish(i: u32${this.#call.product < 0 ? "" : `, x: ${productType}`}) {
  ${strided.length === 0 ? "" : unravel(this.#plan.rank, width, strided)}
  ${printed.statements}
  y[${placeOf(0, this.#plan.outAccess, width === 4)}] = ${value};
}`;
  }

  #load(i: number): string {
    const { dtype, access, splat } = this.#plan.operands[i]!;
    const wide = this.width === 4 && access !== "scalar" && !splat;
    const typed = (raw: string): string => {
      const value = dtype === "f16" && !wide ? `f32(${raw})` : raw;
      return dtype === "bool" ? `(U(${value}) != U(0u))` : `${aliasOf(dtype)}(${value})`;
    };
    if (i === this.#call.product) return dtype === "bool" ? "(x != U(0u))" : "x";
    if (access === "out") return typed(`y[${placeOf(0, this.#plan.outAccess, wide)}]`);
    return typed(`x${i}[${placeOf(i + 1, access, wide)}]`);
  }

  #each(visit: (operand: Operand, i: number) => void): void {
    this.#plan.operands.forEach((operand, i) => {
      // A buffer is bound once: it cannot be read-only and written in one launch.
      if (i !== this.#call.product && operand.access !== "out") visit(operand, i);
    });
  }
}

/** Storing without a tree: at the index itself. */
export class PlainFinish implements Finish {
  readonly width: 1 | 4;
  readonly inputs = {};
  readonly uniforms = {};
  readonly values = {};
  readonly #out: View;

  constructor(out: View, width: 1 | 4) {
    this.#out = out;
    this.width = width;
  }

  toString(): string {
    return this.width === 4 ? "wide" : "";
  }

  get outputs(): { y: string } {
    return { y: elementType(this.#out.dtype, this.width) };
  }

  get operands(): Record<string, View> {
    return { y: this.#out };
  }

  get source(): string {
    const { y } = this.outputs;
    return `fn finish(i: u32, x: ${y}) { y[i] = x; }`;
  }
}

/** WGSL of the offset of operand `i`: 0 is the output, then come the leaves. */
function offsetAt(i: number): string {
  return `u.offsets[${i >> 2}][${i & 3}]`;
}

/** WGSL of where an operand's element, or vector, is. */
function placeOf(i: number, access: Access, wide: boolean): string {
  const offset = offsetAt(i);
  if (access === "scalar") return offset;
  if (access === "strided") return wide ? `(at${i} + ${offset}) / 4u` : `at${i} + ${offset}`;
  return `i + ${offset}${wide ? " / 4u" : ""}`;
}

function paramValue(i: number, dtype: DType): string {
  const slot = `u.params[${i >> 2}][${i & 3}]`;
  const of = { F: `bitcast<f32>(${slot})`, I: `bitcast<i32>(${slot})`, U: slot, B: `${slot} != 0u` };
  return `${aliasOf(dtype)}(${of[aliasOf(dtype)]})`;
}

const words = new Uint32Array(1);
const floats = new Float32Array(words.buffer);

/** The bits of numbers that are of these types. */
function wordsOf(params: readonly number[], types: readonly (DType | undefined)[]): number[] {
  return params.map((value, i) => {
    const type = types[i];
    if (type === "i32" || type === "u32" || type === "bool") words[0] = value;
    else floats[0] = value;
    return words[0]!;
  });
}
