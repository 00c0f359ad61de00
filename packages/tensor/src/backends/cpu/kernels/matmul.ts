import type { MatmulCall, View } from "../../../backend.ts";
import type { CpuEngine, Take } from "../engine.ts";
import { type KernelBuilder, kernel } from "../kernel.ts";
import { f32x4, type I32 } from "../wasm/values.ts";
import { transpose4 } from "./copy.ts";
import { accumulateLines, blockingOf, emptySums, multiplyTile, pack, stretchOf } from "./gemm.ts";

/** Rows of A, and columns of B, that one unit multiplies, about. */
const BLOCK_ROWS = 48;
const BLOCK_COLS = 256;

/**
 * A unit computes a block of the product of one batch. A panel of B stays in the first-level cache while all panels of A of the
 * block, which stay in the second-level cache, pass it.
 */
const productKernel = kernel(
  "matmul",
  {
    a: "i32",
    b: "i32",
    c: "i32",
    m: "i32",
    n: "i32",
    k: "i32",
    panelsA: "i32",
    panelsB: "i32",
    blocksA: "i32",
    blocksB: "i32",
    sizeA: "i32",
    batchA: "i32",
    batchB: "i32",
    stretch: "i32",
  },
  (f, s) => {
    const { rows, cols } = blockingOf(f.target);
    const rowStride = f.let(s.n.shl(2));
    f.units((unit) => {
      const blockB = f.let(unit.remU(s.blocksB));
      const rest = f.let(unit.divU(s.blocksB));
      const blockA = f.let(rest.remU(s.blocksA));
      const batch = f.let(rest.divU(s.blocksA));
      const firstA = f.let(blockA.mul(s.sizeA));
      const endA = f.let(firstA.add(s.sizeA).minU(s.panelsA));
      const firstB = f.let(blockB.mul(BLOCK_COLS / cols));
      const endB = f.let(firstB.add(BLOCK_COLS / cols).minU(s.panelsB));
      const baseA = f.let(s.a.add(batch.mul(s.batchA)));
      const baseB = f.let(s.b.add(batch.mul(s.batchB)));
      const baseC = f.let(s.c.add(batch.mul(s.m).mul(rowStride)));
      f.range(0, s.k, s.stretch, (from) => {
        const depth = f.let(from.add(s.stretch).minU(s.k).sub(from));
        f.range(firstB, endB, 1, (j) => {
          const b = f.let(
            baseB.add(
              j
                .mul(s.k)
                .add(from)
                .mul(4 * cols),
            ),
          );
          f.range(firstA, endA, 1, (i) => {
            multiplyTile(f, {
              a: baseA.add(
                i
                  .mul(s.k)
                  .add(from)
                  .mul(4 * rows),
              ),
              b,
              depth,
              c: baseC.add(i.mul(rows).mul(rowStride)).add(j.mul(4 * cols)),
              rowStride,
              rows: f.let(s.m.sub(i.mul(rows))),
              cols: f.let(s.n.sub(j.mul(cols))),
              fresh: f.let(from.eqz()),
            });
          });
        });
      });
    });
  },
);

/** Bytes of the matrix that one unit of the thin product multiplies, about. */
const THIN_BYTES = 2 ** 18;
/**
 * Lines of the matrix that meet a panel of half the width: with more, V8 does not keep all their addresses in registers. Their sums take no
 * more room than a whole tile's.
 */
const LINES = 6;
/** Above so many rows packing the other operand costs less than it saves. */
const THIN_ROWS = 256;
const THIN_DEPTH = 4096;

/**
 * The product of few rows with a matrix that lies along the inner axis, as the weights of a linear layer do: cᵀ = bᵀ·aᵀ. The matrix
 * is read where it lies, a few lines at a time; the few rows are packed as panels, what is left of them as one of half the width. A
 * unit computes a block of columns of c.
 */
const thinKernel = kernel(
  "matmul-thin",
  {
    a: "i32",
    rest: "i32",
    b: "i32",
    c: "i32",
    scratch: "i32",
    m: "i32",
    n: "i32",
    k: "i32",
    panels: "i32",
    block: "i32",
    lineBytes: "i32",
    stretch: "i32",
  },
  (f, s) => {
    const { rows: height, cols: width } = blockingOf(f.target);
    const tile = f.let(s.scratch.add(f.thread.mul(4 * height * width)));
    f.units((unit) => {
      const first = f.let(unit.mul(s.block).mul(height));
      const end = f.let(first.add(s.block.mul(height)).minU(s.n));
      // A panel stays in the caches while the block's lines, which do so too, pass it.
      const pass = (panel: I32, top: I32, panelWidth: number, lines: number): void =>
        f.range(first, end, lines, (column) => {
          const starts = Array.from({ length: lines }, (_, r) =>
            f.let(s.b.add(column.add(r).minU(s.n.sub(1)).mul(s.lineBytes))),
          );
          const sums = emptySums(f, (lines * panelWidth) / 4);
          // In the same stretches as the other product, so that a row has the same bits in both.
          f.range(0, s.k, s.stretch, (from) => {
            const depth = f.let(from.add(s.stretch).minU(s.k).sub(from));
            const along = starts.map((start) => f.let(start.add(from.shl(2))));
            const b = f.let(panel.add(from.mul(4 * panelWidth)));
            accumulateLines(f, { lines: along, b, cols: panelWidth, depth }, sums);
            f.if(from, () => sums.forEach((sum, i) => void f.set(sum, sum.add(tile.f32x4(16 * i)))));
            sums.forEach((sum, i) => {
              f.store(tile, sum, 16 * i);
              f.set(sum, f32x4(0));
            });
          });
          storeTurned(f, { ...s, tile, width: panelWidth, height: lines, top, column, end });
        });
      f.range(0, s.panels, 1, (i) =>
        pass(f.let(s.a.add(i.mul(s.k).mul(4 * width))), f.let(i.mul(width)), width, height),
      );
      f.if(s.rest, () => pass(s.rest, f.let(s.panels.mul(width)), width / 2, LINES));
    });
  },
);

interface TurnedTile {
  readonly tile: I32;
  readonly c: I32;
  readonly m: I32;
  readonly n: I32;
  readonly width: number;
  readonly height: number;
  /** The first row and the first column of c that it covers, and where the columns end. */
  readonly top: I32;
  readonly column: I32;
  readonly end: I32;
}

/** Stores sums that lie as [height][width] as columns of c, as far as these exist. */
function storeTurned(f: KernelBuilder, { tile, c, m, n, width, height, top, column, end }: TurnedTile): void {
  const rowStride = f.let(n.shl(2));
  const left = f.let(end.sub(column));
  const row = f.let(top);
  const to = f.let(c.add(row.mul(rowStride)).add(column.shl(2)));
  f.range(tile, f.let(tile.add(4 * width)), 16, (from) => {
    const squares = Array.from({ length: Math.ceil(height / 4) }, (_, square) => {
      const lines = [0, 1, 2, 3].map((r) => 4 * square + r);
      return transpose4(
        f,
        lines.map((line) => (line < height ? f.let(from.f32x4(4 * width * line)) : f32x4(0))),
      );
    });
    for (let r = 0; r < 4; r++) {
      f.if(row.ltU(m), () => {
        squares.forEach((square, at) => {
          const exist = Math.min(4, height - 4 * at);
          const count = f.let(left.sub(4 * at).minU(exist));
          const put = (): void => f.storeSome(to, square[r]!, count, 16 * at);
          if (at === 0) put();
          else f.if(left.gtU(4 * at), put);
        });
      });
      f.advance(row, 1);
      f.advance(to, rowStride);
    }
  });
}

function thin(cpu: CpuEngine, take: Take, { a, b, out }: MatmulCall): void {
  const { rows: height, cols: width, speed } = blockingOf(cpu.options.target);
  const [, , m, n] = out.layout.shape as [number, number, number, number];
  const k = a.layout.shape[3]!;
  const half = m % width > 0 && m % width <= width / 2;
  const panels = half ? Math.floor(m / width) : Math.ceil(m / width);
  const whole = panels > 0 ? pack(cpu, take, rowsOf(a, 0, Math.min(m, panels * width)), 2, width, [1, 1]) : undefined;
  const rest = half ? pack(cpu, take, rowsOf(a, panels * width, m), 2, width / 2, [1, 1]) : undefined;
  const scratch = take(4 * cpu.options.threads * height * width, "matmul sums");
  const block = Math.max(1, Math.min(16, Math.floor(THIN_BYTES / (4 * height * k))));
  const args = {
    a: whole?.address ?? 0,
    rest: rest?.address ?? 0,
    b: cpu.address(b),
    c: cpu.address(out),
    scratch: scratch.place,
    m,
    n,
    k,
    panels,
    block,
    lineBytes: 4 * b.layout.strides[3]!,
    stretch: stretchOf(k),
  };
  const units = Math.ceil(n / height / block);
  cpu.launch(thinKernel, args, units, 20 + (2 * m * n * k) / speed / units);
}

/** The rows `begin … end − 1` of a (1, 1, rows, columns) matrix. */
function rowsOf(view: View, begin: number, end: number): View {
  const { shape, strides, offset } = view.layout;
  const layout = { shape: [1, 1, end - begin, shape[3]!], strides, offset: offset + begin * strides[2]! };
  return { ...view, layout };
}

/** Both operands into panels, then blocks of the result. */
function thick(cpu: CpuEngine, take: Take, { a, b, out }: MatmulCall): void {
  const [p, q, m, n] = out.layout.shape as [number, number, number, number];
  const k = a.layout.shape[3]!;
  const { rows, cols, speed } = blockingOf(cpu.options.target);
  const packedA = pack(cpu, take, a, 2, rows, [p, q]);
  const packedB = pack(cpu, take, b, 3, cols, [p, q]);
  const panelsA = Math.ceil(m / rows);
  const panelsB = Math.ceil(n / cols);
  const blocksA = Math.ceil(m / BLOCK_ROWS);
  const sizeA = Math.ceil(panelsA / blocksA);
  const blocksB = Math.ceil(n / BLOCK_COLS);
  const args = {
    a: packedA.address,
    b: packedB.address,
    batchA: packedA.batchBytes,
    batchB: packedB.batchBytes,
    c: cpu.address(out),
    m,
    n,
    k,
    panelsA,
    panelsB,
    blocksA: Math.ceil(panelsA / sizeA),
    blocksB,
    sizeA,
    stretch: stretchOf(k),
  };
  const units = p * q * args.blocksA * blocksB;
  cpu.launch(productKernel, args, units, 20 + (2 * p * q * m * n * k) / speed / units);
}

/** Batched product. */
export function matmul(cpu: CpuEngine, call: MatmulCall): void {
  const { a, b, out } = call;
  const [p, q, m, n] = out.layout.shape as [number, number, number, number];
  const k = a.layout.shape[3]!;
  if (p * q * m * n === 0) return;
  const lies = b.layout.strides[2] === 1 || k === 1;
  const form = p * q === 1 && m <= THIN_ROWS && k <= THIN_DEPTH && lies ? thin : thick;
  cpu.withTemporaries((take) => form(cpu, take, call));
}
