import type { MatmulCall, View } from "../../../backend.ts";
import type { CpuEngine } from "../engine.ts";
import { type KernelBuilder, kernel } from "../kernel.ts";
import { type F32x4, f32x4, type I32 } from "../wasm/values.ts";
import { transpose4 } from "./copy.ts";
import { COLS, multiplyTile, pack, ROWS, SPEED, stretchOf } from "./gemm.ts";

/** Panels of A, and panels of B, that one unit multiplies. */
const BLOCK_ROWS = 12;
const BLOCK_COLS = 32;

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
    const rowStride = f.let(s.n.shl(2));
    f.units((unit) => {
      const blockB = f.let(unit.remU(s.blocksB));
      const rest = f.let(unit.divU(s.blocksB));
      const blockA = f.let(rest.remU(s.blocksA));
      const batch = f.let(rest.divU(s.blocksA));
      const firstA = f.let(blockA.mul(s.sizeA));
      const endA = f.let(firstA.add(s.sizeA).minU(s.panelsA));
      const firstB = f.let(blockB.mul(BLOCK_COLS));
      const endB = f.let(firstB.add(BLOCK_COLS).minU(s.panelsB));
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
                .mul(4 * COLS),
            ),
          );
          f.range(firstA, endA, 1, (i) => {
            multiplyTile(f, {
              a: baseA.add(
                i
                  .mul(s.k)
                  .add(from)
                  .mul(4 * ROWS),
              ),
              b,
              depth,
              c: baseC.add(i.mul(ROWS).mul(rowStride)).add(j.mul(4 * COLS)),
              rowStride,
              rows: f.let(s.m.sub(i.mul(ROWS))),
              cols: f.let(s.n.sub(j.mul(COLS))),
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
/** Above so many rows packing the other operand costs less than it saves. */
const THIN_ROWS = 256;
const THIN_DEPTH = 4096;

/**
 * The product of few rows with a matrix that lies along the inner axis, as the weights of a linear layer do: cᵀ = bᵀ·aᵀ. The matrix
 * is read where it lies, once, four lines at a time; the few rows are packed as panels of eight, what is left of them as one of
 * four. A unit computes a block of columns of c.
 */
const thinKernel = kernel(
  "matmul-thin",
  {
    a: "i32",
    rest: "i32",
    b: "i32",
    c: "i32",
    m: "i32",
    n: "i32",
    k: "i32",
    panels: "i32",
    block: "i32",
    lineBytes: "i32",
  },
  (f, s) => {
    const rowStride = f.let(s.n.shl(2));
    const lines = f.let(s.n.add(ROWS - 1).divU(ROWS));
    f.units((unit) => {
      const first = f.let(unit.mul(s.block));
      const last = f.let(first.add(s.block).minU(lines));
      // A panel stays in the first-level cache while the block's lines, which stay in the second-level cache, pass it.
      const pass = (panel: I32, top: I32, width: 4 | 8): void => {
        f.range(first, last, 1, (j) => {
          const column = f.let(j.mul(ROWS));
          const starts = Array.from({ length: ROWS }, (_, r) =>
            f.let(s.b.add(column.add(r).minU(s.n.sub(1)).mul(s.lineBytes))),
          );
          const left = f.let(s.n.sub(column));
          const row = f.let(top);
          const to = f.let(s.c.add(row.mul(rowStride)).add(column.shl(2)));
          for (const line of thinSums(f, panel, starts, s.k, width)) {
            f.if(row.ltU(s.m), () => f.storeSome(to, line, left));
            f.advance(row, 1);
            f.advance(to, rowStride);
          }
        });
      };
      f.range(0, s.panels, 1, (i) => pass(f.let(s.a.add(i.mul(s.k).mul(4 * COLS))), f.let(i.mul(COLS)), COLS));
      f.if(s.rest, () => pass(s.rest, f.let(s.panels.mul(COLS)), 4));
    });
  },
);

/** The products of a panel of `width` rows of a with ROWS lines of b: a vector over the lines for each row. */
function thinSums(f: KernelBuilder, panel: I32, lines: readonly I32[], depth: I32, width: 4 | 8): F32x4[] {
  const half = width / 4;
  const sums = Array.from({ length: half * ROWS }, () => f.let(f32x4(0)));
  const at = f.let(panel);
  const end = f.let(at.add(depth.mul(4 * width)));
  const from = lines.map((start) => f.let(start));
  f.while(
    () => at.ltU(end),
    () => {
      const values = Array.from({ length: half }, (_, h) => f.let(at.f32x4(16 * h)));
      from.forEach((line, r) => {
        const weight = f.let(line.splatF32());
        values.forEach((value, h) => {
          f.set(sums[half * r + h]!, f.fma(weight, value, sums[half * r + h]!));
        });
        f.advance(line, 4);
      });
      f.advance(at, 4 * width);
    },
  );
  return Array.from({ length: half }, (_, h) =>
    transpose4(
      f,
      [0, 1, 2, 3].map((r) => sums[half * r + h]!),
    ),
  ).flat();
}

function thin(cpu: CpuEngine, { a, b, out }: MatmulCall): void {
  const [, , m, n] = out.layout.shape as [number, number, number, number];
  const k = a.layout.shape[3]!;
  const narrow = m % COLS > 0 && m % COLS <= 4;
  const panels = narrow ? Math.floor(m / COLS) : Math.ceil(m / COLS);
  const whole = panels > 0 ? pack(cpu, rowsOf(a, 0, Math.min(m, panels * COLS)), 2, COLS, [1, 1]).block : undefined;
  const rest = narrow ? pack(cpu, rowsOf(a, panels * COLS, m), 2, 4, [1, 1]).block : undefined;
  const block = Math.max(1, Math.min(16, Math.floor(THIN_BYTES / (4 * ROWS * k))));
  const args = {
    a: whole?.address ?? 0,
    rest: rest?.address ?? 0,
    b: cpu.address(b),
    c: cpu.address(out),
    m,
    n,
    k,
    panels,
    block,
    lineBytes: 4 * b.layout.strides[3]!,
  };
  const units = Math.ceil(n / ROWS / block);
  cpu.launch(thinKernel, args, units, 20 + (2 * m * n * k) / SPEED / units);
  whole?.release();
  rest?.release();
}

/** The rows `begin … end − 1` of a (1, 1, rows, columns) matrix. */
function rowsOf(view: View, begin: number, end: number): View {
  const { shape, strides, offset } = view.layout;
  const layout = { shape: [1, 1, end - begin, shape[3]!], strides, offset: offset + begin * strides[2]! };
  return { ...view, layout };
}

/** Batched product: both operands into panels, then blocks of the result. */
export function matmul(cpu: CpuEngine, { a, b, out }: MatmulCall): void {
  const [p, q, m, n] = out.layout.shape as [number, number, number, number];
  const k = a.layout.shape[3]!;
  if (p * q * m * n === 0) return;
  const lies = b.layout.strides[2] === 1 || k === 1;
  if (p * q === 1 && m <= THIN_ROWS && k <= THIN_DEPTH && lies) {
    thin(cpu, { a, b, out });
    return;
  }
  const packedA = pack(cpu, a, 2, ROWS, [p, q]);
  const packedB = pack(cpu, b, 3, COLS, [p, q]);
  const panelsA = Math.ceil(m / ROWS);
  const panelsB = Math.ceil(n / COLS);
  const blocksA = Math.ceil(panelsA / BLOCK_ROWS);
  const sizeA = Math.ceil(panelsA / blocksA);
  const blocksB = Math.ceil(panelsB / BLOCK_COLS);
  const args = {
    a: packedA.block.address,
    b: packedB.block.address,
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
  cpu.launch(productKernel, args, units, 20 + (2 * p * q * m * n * k) / SPEED / units);
  packedA.block.release();
  packedB.block.release();
}
