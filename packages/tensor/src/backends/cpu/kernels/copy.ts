import type { CopyCall } from "../../../backend.ts";
import { bytesPerElement } from "../../../dtype.ts";
import { collapse } from "../../../layout.ts";
import { numel } from "../../../shape.ts";
import type { CpuEngine } from "../engine.ts";
import { type Arguments, type Kernel, type KernelBuilder, kernel, type Spec, variants } from "../kernel.ts";
import type { F32x4, I32 } from "../wasm/values.ts";

interface Variant {
  readonly rank: number;
  readonly bytes: 2 | 4;
  readonly mode: "rows" | "planes" | "transpose" | "elements";
}

/** Rows shorter than this many elements are copied by planes of so many rows at most: finding a place costs divisions. */
const SHORT_ROW = 128;
const PLANE = 64;

/** Rows of a transposed strip: one cache line of the input. */
const STRIP = 16;

/** The axes as arguments: sizes and strides in bytes; `x` and `y` are addresses. */
function axesSpec(rank: number): Spec {
  const spec: Record<string, "i32"> = { x: "i32", y: "i32" };
  for (let axis = 0; axis < rank; axis++) {
    spec[`size${axis}`] = "i32";
    spec[`in${axis}`] = "i32";
    spec[`out${axis}`] = "i32";
  }
  return spec;
}

/** Addresses of input and output at position `index` of the axes below `axes`, as locals that may be moved on. */
function unravel(f: KernelBuilder, args: Arguments<Spec>, index: I32, axes: number): { from: I32; to: I32 } {
  const int = (name: string): I32 => args[name] as I32;
  const from = f.let(int("x"));
  const to = f.let(int("y"));
  const rest = f.let(index);
  for (let axis = axes - 1; axis >= 0; axis--) {
    const at = axis === 0 ? rest : f.let(rest.remU(int(`size${axis}`)));
    f.advance(from, at.mul(int(`in${axis}`)));
    f.advance(to, at.mul(int(`out${axis}`)));
    if (axis > 0) f.set(rest, rest.divU(int(`size${axis}`)));
  }
  return { from, to };
}

/** A unit copies one row or plane, or in a transposition one strip of the last but one axis along the whole last one. */
const copyKernel = variants(({ rank, bytes, mode }: Variant): Kernel => {
  return kernel("copy", axesSpec(rank), (f, args) => {
    const int = (name: string): I32 => args[name] as I32;
    const last = rank - 1;
    const cols = int(`size${last}`);
    if (mode === "transpose") {
      transposeStrips(f, args, rank);
      return;
    }
    f.units((unit) => {
      if (mode === "planes") {
        const { from, to } = unravel(f, args, unit, last - 1);
        f.range(0, int(`size${last - 1}`), 1, () => {
          copyRow(f, from, to, cols);
          f.advance(from, int(`in${last - 1}`));
          f.advance(to, int(`out${last - 1}`));
        });
        return;
      }
      const { from, to } = unravel(f, args, unit, last);
      if (mode === "rows" && bytes === 4) {
        copyRow(f, from, to, cols);
        return;
      }
      f.range(0, cols, 1, () => {
        if (bytes === 4) f.store(to, from.i32());
        else f.store16(to, from.u16());
        f.advance(from, int(`in${last}`));
        f.advance(to, int(`out${last}`));
      });
    });
  });
});

function copyRow(f: KernelBuilder, from: I32, to: I32, cols: I32): void {
  const whole = f.let(cols.and(-4).shl(2));
  f.range(0, whole, 16, (at) => f.store(to.add(at), from.add(at).f32x4()));
  f.if(cols.and(3), () => f.storeSome(f.let(to.add(whole)), from.add(whole).f32x4(), f.let(cols.and(3))));
}

/** The input lies densely along the last axis but one, the output along the last: tiles of 4 x 4 through registers. */
function transposeStrips(f: KernelBuilder, args: Arguments<Spec>, rank: number): void {
  const int = (name: string): I32 => args[name] as I32;
  const [row, col] = [rank - 2, rank - 1];
  const rows = int(`size${row}`);
  const cols = int(`size${col}`);
  const strips = f.let(rows.add(STRIP - 1).divU(STRIP));
  f.units((unit) => {
    const { from, to } = unravel(f, args, f.let(unit.divU(strips)), row);
    const first = f.let(unit.remU(strips).mul(STRIP));
    const end = f.let(first.add(STRIP).minU(rows));
    f.range(0, cols, 4, (c) => {
      const left = f.let(cols.sub(c));
      // Columns past the last one are read as the last: their addresses might lie outside of the memory.
      const columns = [0, 1, 2, 3].map((k) =>
        f.let(
          from.add(
            c
              .add(k)
              .minU(cols.sub(1))
              .mul(int(`in${col}`)),
          ),
        ),
      );
      f.range(first, end, 4, (r) => {
        const tile = columns.map((at) => f.let(at.add(r.shl(2)).f32x4()));
        const turned = transpose4(f, tile);
        const target = f.let(to.add(r.mul(int(`out${row}`))).add(c.shl(2)));
        turned.forEach((line, k) => {
          const put = (): void => f.storeSome(f.let(target.add(int(`out${row}`).mul(k))), line, left);
          if (k === 0) put();
          else f.if(r.add(k).ltU(end), put);
        });
      });
    });
  });
}

/** The columns of four vectors. */
export function transpose4(f: KernelBuilder, rows: readonly F32x4[]): F32x4[] {
  const [a, b, c, d] = rows as [F32x4, F32x4, F32x4, F32x4];
  const lowAB = f.let(a.shuffle(b, 0, 4, 1, 5));
  const lowCD = f.let(c.shuffle(d, 0, 4, 1, 5));
  const highAB = f.let(a.shuffle(b, 2, 6, 3, 7));
  const highCD = f.let(c.shuffle(d, 2, 6, 3, 7));
  return [
    f.let(lowAB.shuffle(lowCD, 0, 1, 4, 5)),
    f.let(lowAB.shuffle(lowCD, 2, 3, 6, 7)),
    f.let(highAB.shuffle(highCD, 0, 1, 4, 5)),
    f.let(highAB.shuffle(highCD, 2, 3, 6, 7)),
  ];
}

/** Copies between two layouts of one shape. */
export function copy(cpu: CpuEngine, { out, input }: CopyCall): void {
  const count = numel(out.layout.shape);
  if (count === 0) return;
  let { shape, strides } = collapse(out.layout.shape, [input.layout.strides, out.layout.strides]);
  const bytes = bytesPerElement(out.dtype) as 2 | 4;
  const last = shape.length - 1;
  const dense = strides[1]![last] === 1;
  let mode: Variant["mode"] = dense && strides[0]![last] === 1 ? "rows" : "elements";
  if (mode === "rows" && bytes === 4 && last > 1 && shape[last]! < SHORT_ROW && shape[last - 1]! <= PLANE)
    mode = "planes";
  const along = strides[0]!.indexOf(1);
  if (
    mode === "elements" &&
    dense &&
    bytes === 4 &&
    along >= 0 &&
    along < last &&
    shape[along]! >= 4 &&
    shape[last]! >= 4
  ) {
    mode = "transpose";
    // The axis that the input is dense along moves next to the last one; the order of the others does not matter.
    const order = [...shape.keys()].filter((axis) => axis !== along && axis !== last);
    order.push(along, last);
    shape = order.map((axis) => shape[axis]!);
    strides = strides.map((own) => order.map((axis) => own[axis]!));
  }
  const args: Record<string, number> = { x: cpu.address(input), y: cpu.address(out) };
  shape.forEach((size, axis) => {
    args[`size${axis}`] = size;
    args[`in${axis}`] = strides[0]![axis]! * bytes;
    args[`out${axis}`] = strides[1]![axis]! * bytes;
  });
  const planes = numel(shape.slice(0, -2));
  let units = numel(shape.slice(0, -1));
  if (mode === "planes") units = planes;
  if (mode === "transpose") units = planes * Math.ceil(shape[last - 1]! / STRIP);
  const perElement = mode === "elements" ? 1.5 : mode === "transpose" ? 0.6 : 0.3;
  cpu.launch(copyKernel({ rank: shape.length, bytes, mode }), args, units, 5 + (count / units) * perElement);
}
