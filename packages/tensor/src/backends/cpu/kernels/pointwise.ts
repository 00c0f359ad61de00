import type { PointwiseCall } from "../../../backend.ts";
import { bytesPerElement, type DType } from "../../../dtype.ts";
import { type Expr, keyOf, measure, signatureOf } from "../../../expr/expr.ts";
import { collapse } from "../../../layout.ts";
import { numel } from "../../../shape.ts";
import type { CpuEngine } from "../engine.ts";
import { type Arguments, type Kernel, type KernelBuilder, kernel, type Spec } from "../kernel.ts";
import { type Lanes, printWasm } from "../print-wasm.ts";
import { fromHalf, toHalf } from "../wasm/math.ts";
import { type F32, F32x4, type I32, type I32x4, i32, i32x4 } from "../wasm/values.ts";

/** How a leaf is read along the innermost axis: side by side, the same for all, or through its stride. */
type Access = "dense" | "splat" | "strided";

interface Leaf {
  readonly dtype: DType;
  readonly access: Access;
}

interface Variant {
  readonly tree: Expr;
  readonly leaves: readonly Leaf[];
  readonly out: DType;
  readonly rank: number;
  /** What each number is; undefined for those that the tree does not read. */
  readonly params: readonly (DType | undefined)[];
}

/** Elements of a unit, where rows are longer. */
const BLOCK = 4096;

/** The arguments: the result, how its rows are cut, the sizes of the outer axes, each leaf with its strides in bytes, the numbers. */
function specOf(leaves: number, rank: number, params: readonly (DType | undefined)[]): Spec {
  const spec: Record<string, "i32" | "f32"> = { y: "i32", cols: "i32", blocks: "i32" };
  for (let axis = 0; axis < rank - 1; axis++) spec[`size${axis}`] = "i32";
  for (let i = 0; i < leaves; i++) {
    spec[`x${i}`] = "i32";
    for (let axis = 0; axis < rank; axis++) spec[`stride${i}_${axis}`] = "i32";
  }
  for (const [i, dtype] of params.entries()) spec[`param${i}`] = isWord(dtype) ? "i32" : "f32";
  return spec;
}

/**
 * A unit computes one block of a row of the output, a row being the innermost axis after collapsing. Its vectors of four may read
 * past the end of what they need; only the elements that belong to the row are stored.
 */
function pointwiseKernel({ tree, leaves, out, rank, params }: Variant): Kernel {
  return kernel("pointwise", specOf(leaves.length, rank, params), (f, loose) => {
    const int = (name: string): I32 => loose[name] as I32;
    f.units((unit) => {
      const blocks = int("blocks");
      const row = f.let(unit.divU(blocks));
      const begin = f.let(unit.remU(blocks).mul(BLOCK));
      const count = f.let(begin.add(BLOCK).minU(int("cols")).sub(begin));
      const pointers = rowPointers(f, loose, { leaves, rank, row, begin });
      const to = f.let(int("y").add(row.mul(int("cols")).add(begin).mul(bytesPerElement(out))));
      const strides = leaves.map((_, i) => int(`stride${i}_${rank - 1}`));
      // What is the same along the row is read once.
      const fixed = leaves.map(({ dtype, access }, i) =>
        access === "splat" ? f.let(load(f, pointers[i]!, 0, strides[i]!, dtype, access)) : undefined,
      );
      // The elements from the `first`-th behind the pointers on; `exist` of them where it is given.
      const vector = (first: number, exist?: I32): Lanes => {
        const leafValue = (index: number): Lanes => {
          const { dtype, access } = leaves[index]!;
          return fixed[index] ?? load(f, pointers[index]!, first, strides[index]!, dtype, access, exist);
        };
        const paramValue = (index: number, dtype: DType): Lanes => number(f, loose, index, dtype);
        return stored(f, printWasm(f, tree, leafValue, paramValue), tree.dtype, out);
      };
      const advance = (elements: number): void => {
        f.advance(to, elements * bytesPerElement(out));
        leaves.forEach(({ access, dtype }, i) => {
          if (access === "dense") f.advance(pointers[i]!, elements * bytesPerElement(dtype));
          if (access === "strided") f.advance(pointers[i]!, strides[i]!.mul(elements));
        });
      };
      const byPairs = f.target.wide && out !== "f16";
      const pairs = f.let(byPairs ? count.and(-8) : i32(0));
      if (byPairs) {
        f.range(0, pairs, 8, () => {
          const values = [vector(0), vector(4)];
          values.forEach((value, i) => {
            f.store(to, value, 16 * i);
          });
          advance(8);
        });
      }
      const whole = f.let(count.and(-4));
      f.range(pairs, whole, 4, () => {
        store(f, to, vector(0), out, undefined);
        advance(4);
      });
      f.if(whole.ltU(count), () => {
        const rest = f.let(count.sub(whole));
        store(f, to, vector(0, rest), out, rest);
      });
    });
  });
}

/** The addresses of every leaf's first element in the block; strides are in bytes. */
function rowPointers(
  f: KernelBuilder,
  args: Arguments<Spec>,
  { leaves, rank, row, begin }: { leaves: readonly Leaf[]; rank: number; row: I32; begin: I32 },
): I32[] {
  const int = (name: string): I32 => args[name] as I32;
  const pointers = leaves.map((_, i) => f.let(int(`x${i}`).add(begin.mul(int(`stride${i}_${rank - 1}`)))));
  if (leaves.length === 0 || rank === 1) return pointers;
  const rest = f.let(row);
  for (let axis = rank - 2; axis >= 0; axis--) {
    const at = axis === 0 ? rest : f.let(rest.remU(int(`size${axis}`)));
    pointers.forEach((pointer, i) => {
      f.advance(pointer, at.mul(int(`stride${i}_${axis}`)));
    });
    if (axis > 0) f.set(rest, rest.divU(int(`size${axis}`)));
  }
  return pointers;
}

/**
 * Four elements of a leaf, from the `first`-th on, as the values that trees compute with. Where only the first few `exist`, the others
 * are any; those that lie far apart are not read, since that might be outside of the memory.
 */
function load(f: KernelBuilder, at: I32, first: number, stride: I32, dtype: DType, access: Access, exist?: I32): Lanes {
  const element = (lane: number): I32 => {
    if (first + lane === 0) return at;
    if (!exist) return at.add(stride.mul(first + lane));
    return at.add(exist.gtU(lane).select(stride.mul(first + lane), i32(0)));
  };
  if (dtype === "f16") {
    if (access === "dense") return fromHalf(f, at.loadU16x4(2 * first));
    if (access === "splat") return fromHalf(f, at.splat16().and(0xffff));
    let lanes = f.let(element(0).u16().splat());
    for (let lane = 1; lane < 4; lane++) lanes = f.let(lanes.replace(lane, element(lane).u16()));
    return fromHalf(f, lanes);
  }
  let bits: I32x4;
  if (access === "dense") bits = at.i32x4(4 * first);
  else if (access === "splat") bits = at.splatI32();
  else {
    bits = element(0).splatI32();
    for (let lane = 1; lane < 4; lane++) bits = f.let(element(lane).lane(bits, lane));
  }
  if (dtype === "f32") return bits.float();
  return dtype === "bool" ? bits.ne(0) : bits;
}

/** Whether a parameter travels as the bits of a whole number. */
function isWord(dtype: DType | undefined): boolean {
  return dtype === "i32" || dtype === "u32" || dtype === "bool";
}

/** A parameter as four values. */
function number(f: KernelBuilder, args: Arguments<Spec>, index: number, dtype: DType): Lanes {
  if (!isWord(dtype)) return f.let((args[`param${index}`] as F32).splat());
  const value = f.let((args[`param${index}`] as I32).splat());
  return dtype === "bool" ? f.let(value.ne(0)) : value;
}

/** The bits to store: truth values as 0 and 1, f16 in the lower half of each lane. */
function stored(f: KernelBuilder, value: Lanes, from: DType, out: DType): Lanes {
  if (out === "f16" && value instanceof F32x4) return toHalf(f, value);
  return from === "bool" ? (value as I32x4).and(1) : value;
}

function store(f: KernelBuilder, to: I32, value: Lanes, dtype: DType, count: I32 | undefined): void {
  if (dtype !== "f16") {
    if (count) f.storeSome(to, value, count);
    else f.store(to, value);
    return;
  }
  const halves = f.let((value as I32x4).narrowU(i32x4(0)));
  if (!count) {
    f.storeHalf(to, halves);
    return;
  }
  const low = f.let(value as I32x4);
  f.store16(to, low.extract(0));
  f.if(count.gtU(1), () => f.store16(to.add(2), low.extract(1)));
  f.if(count.gtU(2), () => f.store16(to.add(4), low.extract(2)));
}

/** The variants of a tree, by their keys; trees of one form share them. */
type Family = Map<string, Kernel>;

const families = new Map<string, Family>();
const known = new WeakMap<Expr, Family>();

function familyOf(tree: Expr): Family {
  let family = known.get(tree);
  if (!family) {
    const key = keyOf(tree);
    family = families.get(key) ?? new Map();
    families.set(key, family);
    known.set(tree, family);
  }
  return family;
}

/** Evaluates a tree over views of one shape into a dense result. */
export function pointwise(cpu: CpuEngine, { out, tree, leaves, params }: PointwiseCall): void {
  if (numel(out.layout.shape) === 0) return;
  const { shape, strides } = collapse(out.layout.shape, [
    out.layout.strides,
    ...leaves.map((view) => view.layout.strides),
  ]);
  const rank = shape.length;
  const info: Leaf[] = leaves.map(({ dtype }, i) => {
    const step = strides[i + 1]![rank - 1]!;
    return { dtype, access: step === 1 ? "dense" : step === 0 ? "splat" : "strided" };
  });
  const family = familyOf(tree);
  let key = `${out.dtype},${rank},${params.length}`;
  for (const { dtype, access } of info) key += `,${dtype} ${access}`;
  let found = family.get(key);
  if (!found) {
    const known = signatureOf(tree).params;
    const kinds = params.map((_, i) => known[i]);
    found = pointwiseKernel({ tree, leaves: info, out: out.dtype, rank, params: kinds });
    family.set(key, found);
  }
  const cols = shape[rank - 1]!;
  const blocks = Math.ceil(cols / BLOCK);
  const rows = numel(shape.slice(0, -1));
  // In the order of `specOf`.
  const args = [cpu.address(out), cols, blocks, ...shape.slice(0, -1)];
  leaves.forEach((view, i) => {
    const bytes = bytesPerElement(view.dtype);
    args.push(cpu.address(view));
    for (const stride of strides[i + 1]!) args.push(stride * bytes);
  });
  args.push(...params);
  cpu.launch(found, args, rows * blocks, 5 + (Math.min(cols, BLOCK) * (2 + weightOf(tree))) / 8);
}

const weights = new WeakMap<Expr, number>();

function weightOf(tree: Expr): number {
  let weight = weights.get(tree);
  if (weight === undefined) {
    weight = measure(tree).weight;
    weights.set(tree, weight);
  }
  return weight;
}
