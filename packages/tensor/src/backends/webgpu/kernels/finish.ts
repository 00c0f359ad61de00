import type { Epilogue, View } from "../../../backend.ts";
import type { DType } from "../../../dtype.ts";
import { type Expr, keyOf, signatureOf } from "../../../expr/expr.ts";
import { type Collapsed, collapse } from "../../../layout.ts";
import { denseStrides } from "../../../shape.ts";
import type { UniformType } from "../gpu.ts";
import { aliases, aliasOf, printWgsl } from "../print-wgsl.ts";
import { elementType, unravel, unrolled } from "./wgsl.ts";

/** How an operand is read or written: at the index itself, as one value for all, through its strides; or it is the output before it is written. */
type Access = "dense" | "scalar" | "strided" | "out";

interface Operand {
  readonly dtype: DType;
  readonly access: Access;
  /** Strided, but the same for four neighbours. */
  readonly splat: boolean;
}

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
  readonly width: 1 | 4;
  readonly #tree: Expr;
  readonly #params: readonly number[];
  /** The leaf that is what the kernel has computed; −1 where it computes nothing by itself. */
  readonly #product: number;
  readonly #leaves: readonly View[];
  readonly #operands: readonly Operand[];
  readonly #out: View;
  readonly #outAccess: Access;
  readonly #collapsed: Collapsed;
  /** Axes that code is written for. */
  readonly #rank: number;
  readonly #key: string;

  /** @param wide four neighbours at a time, where operands allow it */
  constructor({ out, tree, leaves, params, product }: Epilogue, wide = true) {
    this.#tree = tree;
    this.#params = params;
    this.#product = product;
    this.#leaves = leaves;
    this.#out = out;
    const layouts = leaves.map(({ layout }, i) => (i === product ? undefined : layout.strides));
    const { strides } = out.layout;
    const dense = denseStrides(out.layout.shape);
    // The index itself comes first, so that nothing is joined across which that is not one.
    const collapsed = collapse(out.layout.shape, [dense, strides, ...layouts.map((own) => own ?? dense)]);
    this.#collapsed = collapsed;
    const access = leaves.map(({ storage }, i) =>
      i !== product && storage === out.storage ? "out" : accessOf(collapsed, i + 2),
    );
    this.#outAccess = accessOf(collapsed, 1) === "dense" ? "dense" : "strided";
    this.width = wide && canVectorise(collapsed, [out, ...leaves], [this.#outAccess, ...access]) ? 4 : 1;
    this.#operands = leaves.map(({ dtype }, i) => ({
      dtype,
      access: access[i]!,
      splat: access[i] === "strided" && collapsed.strides[i + 2]!.at(-1) === 0,
    }));
    const strided = this.#outAccess === "strided" || access.includes("strided");
    // Operands without strides need no coordinates, whatever the rank: one variant serves them all.
    this.#rank = strided ? unrolled(collapsed.shape.length) : 1;
    const kinds = this.#operands.map((o) => `${o.dtype}${o.access[1]}${o.splat ? "s" : ""}`).join();
    this.#key = `${treeKey(tree)}/${kinds}/${this.width}/${this.#rank}/${out.dtype}${this.#outAccess[1]}/${params.length}/${product}`;
  }

  /** Axes that are left when those that lie side by side are joined. */
  static rank({ out, leaves }: Pick<Epilogue, "out" | "leaves">): number {
    const strides = [denseStrides(out.layout.shape), out.layout.strides, ...leaves.map(({ layout }) => layout.strides)];
    return collapse(out.layout.shape, strides).shape.length;
  }

  toString(): string {
    return this.#key;
  }

  get inputs(): Record<string, string> {
    const inputs: Record<string, string> = {};
    this.#each(({ dtype, access, splat }, i) => {
      inputs[`x${i}`] = elementType(dtype, this.width === 4 && access !== "scalar" && !splat ? 4 : 1);
    });
    return inputs;
  }

  get outputs(): { y: string } {
    return { y: elementType(this.#out.dtype, this.width) };
  }

  get operands(): Record<string, View> {
    const operands: Record<string, View> = { y: this.#out };
    this.#each((_, i) => {
      operands[`x${i}`] = this.#leaves[i]!;
    });
    return operands;
  }

  get uniforms(): Record<string, UniformType> {
    const { length } = this.#leaves;
    return {
      zero: "u32",
      ...(this.#rank > 1 && {
        rank: "u32",
        shape: "array<vec4u, 2>",
        strides: `array<vec4i, ${2 * length + 2}>` as const,
      }),
      offsets: `array<vec4u, ${Math.ceil((length + 1) / 4)}>`,
      ...(this.#params.length > 0 && { params: `array<vec4u, ${Math.ceil(this.#params.length / 4)}>` as const }),
    };
  }

  get values(): Record<string, number | readonly number[]> {
    const { shape, strides } = this.#collapsed;
    // A kernel of two axes serves one as well.
    const flat = this.#rank === 2 && shape.length === 1;
    const offsets = [this.#out.layout.offset, ...this.#leaves.map(({ layout }) => layout.offset)];
    return {
      zero: 0,
      ...(this.#rank > 1 && {
        rank: shape.length,
        shape: flat ? [1, ...shape] : shape,
        strides: strides.slice(1).flatMap((own) => eight(flat ? [0, ...own] : own)),
      }),
      offsets,
      ...(this.#params.length > 0 && { params: wordsOf(this.#params, signatureOf(this.#tree).params) }),
    };
  }

  get source(): string {
    const { width } = this;
    const printed = printWgsl(
      this.#tree,
      (i) => this.#load(i),
      (i, dtype) => paramValue(i, dtype),
    );
    const { dtype } = this.#out;
    const stored = dtype === "bool" ? `select(U(0u), U(1u), ${printed.result})` : printed.result;
    // Rounded already where the tree ends in a cast to f16, as those of ops do; an adapter may round its own way else.
    const value = dtype === "f16" ? `${elementType(dtype, width)}(${stored})` : stored;
    const product = this.#leaves[this.#product]?.dtype ?? "f32";
    const productType = product === "bool" ? "U" : aliasOf(product);
    const strided = this.#operands.flatMap(({ access }, i) =>
      access === "strided" && i !== this.#product ? [i + 1] : [],
    );
    if (this.#outAccess === "strided") strided.unshift(0);
    return `${aliases(width)}
${printed.functions}
fn finish(i: u32${this.#product < 0 ? "" : `, x: ${productType}`}) {
  ${strided.length === 0 ? "" : unravel(this.#rank, width, strided)}
  ${printed.statements}
  y[${placeOf(0, this.#outAccess, width === 4)}] = ${value};
}`;
  }

  #load(i: number): string {
    const { dtype, access, splat } = this.#operands[i]!;
    const wide = this.width === 4 && access !== "scalar" && !splat;
    const typed = (raw: string): string => {
      const value = dtype === "f16" && !wide ? `f32(${raw})` : raw;
      return dtype === "bool" ? `(U(${value}) != U(0u))` : `${aliasOf(dtype)}(${value})`;
    };
    if (i === this.#product) return dtype === "bool" ? "(x != U(0u))" : "x";
    if (access === "out") return typed(`y[${placeOf(0, this.#outAccess, wide)}]`);
    return typed(`x${i}[${placeOf(i + 1, access, wide)}]`);
  }

  #each(visit: (operand: Operand, i: number) => void): void {
    this.#operands.forEach((operand, i) => {
      // A buffer is bound once: it cannot be read-only and written in one launch.
      if (i !== this.#product && operand.access !== "out") visit(operand, i);
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

const keys = new WeakMap<Expr, string>();

function treeKey(tree: Expr): string {
  let key = keys.get(tree);
  if (key === undefined) {
    key = keyOf(tree);
    keys.set(tree, key);
  }
  return key;
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

function eight(strides: readonly number[]): number[] {
  return Array.from({ length: 8 }, (_, axis) => strides[axis] ?? 0);
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

function accessOf(collapsed: Collapsed, index: number): Access {
  const strides = collapsed.strides[index]!;
  const own = collapsed.strides[0]!;
  if (strides.every((stride, axis) => stride === own[axis])) return "dense";
  return strides.every((stride) => stride === 0) ? "scalar" : "strided";
}

/** Four neighbours at a time, when every operand offers its four side by side or has one value for them. */
function canVectorise(collapsed: Collapsed, operands: readonly View[], access: readonly Access[]): boolean {
  const last = collapsed.shape.length - 1;
  const anyStrided = access.includes("strided");
  // Behind a piece of a lot lie zeros, which are no room for the rest of a vector.
  if (operands[0]!.storage.lot && collapsed.shape.reduce((a, b) => a * b, 1) % 4 !== 0) return false;
  if (anyStrided && collapsed.shape[last]! % 4 !== 0) return false;
  return operands.every((view, i) => {
    if (access[i] === "scalar" || access[i] === "out") return true;
    const aligned = view.layout.offset % 4 === 0;
    if (access[i] === "dense") return aligned;
    const strides = collapsed.strides[i + 1]!;
    // What is written has no one value for four.
    if (strides[last] === 0 && i > 0) return true;
    return aligned && strides[last] === 1 && strides.slice(0, -1).every((stride) => stride % 4 === 0);
  });
}
