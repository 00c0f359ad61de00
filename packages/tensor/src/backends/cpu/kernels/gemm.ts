import type { View } from "../../../backend.ts";
import type { CpuEngine, Take } from "../engine.ts";
import { type KernelBuilder, kernel, variants } from "../kernel.ts";
import type { Target } from "../wasm/builder.ts";
import { type F32x4, f32x4, type I32 } from "../wasm/values.ts";
import { transpose4 } from "./copy.ts";

/*
 * The product that matmul and the convolutions are made of, after Goto & van de Geijn 2008, "Anatomy of high-performance matrix
 * multiplication": operands are packed into panels that the inner loop reads in order, A in panels of `rows` rows, B in panels of
 * `cols` columns, each [depth][rows or cols]. The inner loop keeps rows x cols sums in registers.
 */

/** The most steps of the inner axis that are summed before sums go back to memory: a panel of B stays in the first-level cache. */
export const DEPTH = 384;

/** How products are cut. */
export interface Blocking {
  /** The tile whose sums stay in registers. */
  readonly rows: number;
  readonly cols: number;
  /** Estimated floating-point operations a nanosecond. */
  readonly speed: number;
}

/** Eight sums of four: with more V8 does not keep them in registers (6 rows give 23 GFLOP/s where 4 give 50). */
const NARROW: Blocking = { rows: 4, cols: 8, speed: 25 };
/** Twelve sums of eight, two vectors of B and one value of A: the registers that V8 has, but one. */
const WIDE: Blocking = { rows: 6, cols: 16, speed: 50 };

export function blockingOf({ wide }: Target): Blocking {
  return wide ? WIDE : NARROW;
}

/** Cuts the inner axis into equal stretches of at most DEPTH. */
export function stretchOf(depth: number): number {
  return Math.ceil(depth / Math.ceil(depth / DEPTH));
}

/** A tile of the product; addresses, and strides in bytes. */
export interface Tile {
  /** A panel of A and one of B, at the first step. */
  readonly a: I32;
  readonly b: I32;
  readonly depth: I32;
  /** Where the tile goes, and how far apart its rows lie. */
  readonly c: I32;
  readonly rowStride: I32;
  /** Rows and columns that exist, from the tile's first on. */
  readonly rows: I32;
  readonly cols: I32;
  /** 0 where the tile is added to what is there. */
  readonly fresh: I32;
}

/** A product of a few rows of A with a panel of B. */
interface Product {
  /** Where the first value of each row of A lies: at an offset from an address, which rows beside each other may share. */
  readonly values: readonly { readonly at: I32; readonly offset: number }[];
  /** Bytes from one value of a row to the next. */
  readonly step: number | I32;
  readonly b: I32;
  /** Bytes from one step of the inner axis to the next in B, where that is no panel but some columns of a matrix. */
  readonly stride?: I32;
  /** The width of B's panel. */
  readonly cols: number;
  readonly depth: I32;
}

/** Adds a product to sums: the vectors of each row. */
function accumulate(f: KernelBuilder, { values, step, b, stride, cols, depth }: Product, sums: readonly F32x4[]): void {
  const width = cols / 4;
  const bt = f.let(b);
  const bytes = stride ?? 4 * cols;
  const end = f.let(bt.add(depth.mul(bytes)));
  // One step a turn: written out twice, V8 no longer keeps the sums in registers (50 GFLOP/s become 23).
  f.while(
    () => bt.ltU(end),
    () => {
      const columns = Array.from({ length: width }, (_, h) => f.let(bt.f32x4(16 * h)));
      values.forEach(({ at, offset }, r) => {
        const value = f.let(at.splatF32(offset));
        columns.forEach((column, h) => {
          const sum = sums[r * width + h]!;
          f.set(sum, f.fma(value, column, sum));
        });
        if (values[r + 1]?.at !== at) f.advance(at, step);
      });
      f.advance(bt, bytes);
    },
  );
}

/**
 * Adds the product of a panel of A with one of B to the sums of a tile.
 * @param step bytes from one step of the inner axis to the next in A, where that is no panel: some columns of a matrix are such lines too
 */
export function accumulateTile(
  f: KernelBuilder,
  { a, b, depth, step, stride }: Pick<Tile, "a" | "b" | "depth"> & { readonly step?: I32; readonly stride?: I32 },
  sums: readonly F32x4[],
): void {
  const { rows, cols } = blockingOf(f.target);
  const at = f.let(a);
  const values = Array.from({ length: rows }, (_, r) => ({ at, offset: 4 * r }));
  accumulate(f, { values, step: step ?? 4 * rows, b, cols, depth, ...(stride && { stride }) }, sums);
}

/** The same with rows of A that lie anywhere, at the addresses `lines`, and a panel of B of any width. */
export function accumulateLines(
  f: KernelBuilder,
  { lines, ...product }: Pick<Product, "b" | "stride" | "cols" | "depth"> & { readonly lines: readonly I32[] },
  sums: readonly F32x4[],
): void {
  const values = lines.map((line) => ({ at: f.let(line), offset: 0 }));
  accumulate(f, { values, step: 4, ...product }, sums);
}

/** So many vectors of sums, 0. */
export function emptySums(f: KernelBuilder, count: number): readonly F32x4[] {
  return Array.from({ length: count }, () => f.let(f32x4(0)));
}

/** Where the rows of a tile go. */
export function linesOf(f: KernelBuilder, { c, rowStride }: Pick<Tile, "c" | "rowStride">): readonly I32[] {
  const origin = f.let(c);
  const { rows } = blockingOf(f.target);
  return Array.from({ length: rows }, (_, r) => (r === 0 ? origin : f.let(origin.add(rowStride.mul(r)))));
}

/** Multiplies one panel of A with one of B into a tile. */
export function multiplyTile(f: KernelBuilder, tile: Tile): void {
  const { rows, cols } = blockingOf(f.target);
  const sums = emptySums(f, (rows * cols) / 4);
  const lines = linesOf(f, tile);
  accumulateTile(f, tile, sums);
  addTile(f, lines, sums, tile);
}

/**
 * Stores the sums of a tile or adds them to what is there. That is added last, not the terms one by one to it: fewer additions in a row
 * lose less.
 */
export function addTile(
  f: KernelBuilder,
  lines: readonly I32[],
  sums: readonly F32x4[],
  tile: Pick<Tile, "rows" | "cols" | "fresh">,
): void {
  const width = blockingOf(f.target).cols / 4;
  f.if(tile.fresh.eqz(), () => {
    lines.forEach((line, r) => {
      f.if(tile.rows.gtU(r), () => {
        for (let h = 0; h < width; h++) f.set(sums[r * width + h]!, sums[r * width + h]!.add(line.f32x4(16 * h)));
      });
    });
  });
  storeTile(f, lines, sums, tile);
}

/** Stores the sums of a tile, as far as its rows and columns exist, at the addresses of its rows. */
export function storeTile(
  f: KernelBuilder,
  lines: readonly I32[],
  sums: readonly F32x4[],
  { rows, cols }: Pick<Tile, "rows" | "cols">,
): void {
  const size = blockingOf(f.target);
  const width = size.cols / 4;
  f.if(
    rows.geU(size.rows).and(cols.geU(size.cols)),
    () => {
      lines.forEach((line, r) => {
        for (let h = 0; h < width; h++) f.store(line, sums[r * width + h]!, 16 * h);
      });
    },
    () => {
      lines.forEach((line, r) => {
        f.if(rows.gtU(r), () => {
          f.storeSome(line, sums[r * width]!, cols);
          for (let h = 1; h < width; h++) {
            f.if(cols.gtU(4 * h), () => f.storeSome(line, sums[r * width + h]!, f.let(cols.sub(4 * h)), 16 * h));
          }
        });
      });
    },
  );
}

/** How an operand lies in memory: densely along the panel's lines, along the inner axis, or neither. */
export type Order = "across" | "along" | "neither";

/** Packs panels of `lines` lines out of a matrix of any strides; batch axes p and q. */
interface PackVariant {
  readonly lines: number;
  readonly order: Order;
}

const PACK = {
  x: "i32",
  y: "i32",
  panels: "i32",
  lines: "i32",
  depth: "i32",
  inner: "i32",
  strideP: "i32",
  strideQ: "i32",
  strideLine: "i32",
  strideDepth: "i32",
} as const;

/** A unit packs one panel. Lines past the last one repeat it or are whatever lies there: what they compute is not stored. */
export const packKernel = variants(({ lines, order }: PackVariant) =>
  kernel("pack", PACK, (f, a) => {
    f.units((unit) => {
      const panel = f.let(unit.remU(a.panels));
      const batch = f.let(unit.divU(a.panels));
      const base = f.let(a.x.add(batch.divU(a.inner).mul(a.strideP)).add(batch.remU(a.inner).mul(a.strideQ)));
      const first = f.let(panel.mul(lines));
      const to = f.let(a.y.add(unit.mul(a.depth).mul(4 * lines)));
      if (order === "across") {
        const from = f.let(base.add(first.shl(2)));
        f.range(0, a.depth, 1, () => {
          // All reads before the first write: engines do not move them past each other.
          const whole = Math.floor(lines / 4);
          const vectors = Array.from({ length: whole }, (_, i) => f.let(from.f32x4(16 * i)));
          const half = lines % 4 > 0 ? f.let(from.load64(16 * whole)) : undefined;
          vectors.forEach((vector, i) => {
            f.store(to, vector, 16 * i);
          });
          if (half) f.storeHalf(to, half, 16 * whole);
          f.advance(from, a.strideDepth);
          f.advance(to, 4 * lines);
        });
        return;
      }
      const sources = Array.from({ length: lines }, (_, r) =>
        f.let(base.add(first.add(r).minU(a.lines.sub(1)).mul(a.strideLine))),
      );
      const whole = f.let(order === "along" ? a.depth.and(-4) : a.depth.and(0));
      if (order === "along") f.range(0, whole, 4, () => packSquare(f, sources, to));
      f.range(whole, a.depth, 1, () => {
        sources.forEach((from, r) => {
          f.store(to, from.i32(), 4 * r);
          f.advance(from, a.strideDepth);
        });
        f.advance(to, 4 * lines);
      });
    });
  }),
);

/** Four steps of the inner axis at once: each line is read as one vector, and the vectors are transposed. */
function packSquare(f: KernelBuilder, sources: readonly I32[], to: I32): void {
  const lines = sources.length;
  for (let at = 0; at < lines; at += 4) {
    const rows = [0, 1, 2, 3].map((r) => (at + r < lines ? f.let(sources[at + r]!.f32x4()) : f32x4(0)));
    transpose4(f, rows as F32x4[]).forEach((line, k) => {
      const offset = 4 * (lines * k + at);
      if (lines - at >= 4) f.store(to, line, offset);
      else f.storeHalf(to, line, offset);
    });
  }
  for (const from of sources) f.advance(from, 16);
  f.advance(to, 16 * lines);
}

/** Floats of a matrix in panels. */
export function packedSize(lines: number, depth: number, width: number): number {
  return Math.ceil(lines / width) * width * depth;
}

/** A matrix in panels, or a batch of them. */
export interface Packed {
  readonly address: number;
  /** From one matrix of the batch to the next. */
  readonly batchBytes: number;
}

/** Packs a matrix whose panels' lines are axis `line` of (p, q, rows, columns), the other axis being the inner one. */
export function pack(
  cpu: CpuEngine,
  take: Take,
  view: View,
  line: 2 | 3,
  width: number,
  [p, q]: readonly [number, number],
): Packed {
  const { shape, strides } = view.layout;
  const inner = line === 2 ? 3 : 2;
  const [lines, depth] = [shape[line]!, shape[inner]!];
  // A batch that repeats one matrix packs it once.
  const count = strides[0] === 0 && strides[1] === 0 ? 1 : p * q;
  const target = take(4 * count * packedSize(lines, depth, width), "matmul panels");
  const panels = Math.ceil(lines / width);
  const order: Order = strides[line] === 1 ? "across" : strides[inner] === 1 ? "along" : "neither";
  const args = {
    x: cpu.address(view),
    y: target.place,
    panels,
    lines,
    depth,
    inner: q,
    strideP: 4 * strides[0]!,
    strideQ: 4 * strides[1]!,
    strideLine: 4 * strides[line]!,
    strideDepth: 4 * strides[inner]!,
  };
  const cost = depth * width * (order === "neither" ? 1 : 0.3);
  cpu.launch(packKernel({ lines: width, order }), args, count * panels, 10 + cost);
  return { address: target.place, batchBytes: count === 1 ? 0 : 4 * packedSize(lines, depth, width) };
}
