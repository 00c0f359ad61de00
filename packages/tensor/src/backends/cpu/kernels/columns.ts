import { type KernelBuilder, kernel, variants } from "../kernel.ts";
import { f32x4, type I32, i32 } from "../wasm/values.ts";
import { transpose4 } from "./copy.ts";
import { type Blocking, blockingOf, DEPTH, multiplyTile } from "./gemm.ts";

/** A unit writes the offset of one tap (channel, row, column of the window). */
export const offsetsKernel = kernel(
  "conv-offsets",
  { y: "i32", window: "i32", kernelWidth: "i32", plane: "i32", tapRow: "i32", tapCol: "i32" },
  (f, a) => {
    f.units((tap) => {
      const inside = f.let(tap.remU(a.window));
      const offset = tap
        .divU(a.window)
        .mul(a.plane)
        .add(inside.divU(a.kernelWidth).mul(a.tapRow))
        .add(inside.remU(a.kernelWidth).mul(a.tapCol));
      f.store(f.let(a.y.add(tap.shl(2))), offset);
    });
  },
);

const SPEC = {
  a: "i32",
  x: "i32",
  y: "i32",
  offsets: "i32",
  scratch: "i32",
  groups: "i32",
  outputs: "i32",
  taps: "i32",
  area: "i32",
  blocks: "i32",
  outWidth: "i32",
  stepRow: "i32",
  stepCol: "i32",
  groupBytes: "i32",
  stretch: "i32",
} as const;

/** The address of the first tap of output pixel `p`. */
function windowOf(p: I32, outWidth: I32, stepRow: I32, stepCol: I32): I32 {
  return p.divU(outWidth).mul(stepRow).add(p.remU(outWidth).mul(stepCol));
}

/**
 * A unit computes a tile's width of neighbouring output pixels of all output channels of one image and group: it packs the pixels'
 * columns, a stretch of taps at a time, and multiplies every panel of weights with them. `sideBySide` says that pixels of one row lie
 * so.
 */
export const columnProductKernel = variants((sideBySide: boolean) =>
  kernel("conv-product", SPEC, (f, s) => {
    const { rows, cols: width } = blockingOf(f.target);
    const rowStride = f.let(s.area.shl(2));
    const b = f.let(s.scratch.add(f.thread.mul(4 * DEPTH * width)));
    const panels = f.let(s.outputs.add(rows - 1).divU(rows));
    f.units((unit) => {
      const block = f.let(unit.remU(s.blocks));
      // Image and group together: both images and results of groups lie one after the other.
      const group = f.let(unit.divU(s.blocks));
      const pixel = f.let(block.mul(width));
      const cols = f.let(s.area.sub(pixel));
      const base = f.let(s.x.add(group.mul(s.groupBytes)));
      const windows = Array.from({ length: width }, (_, j) =>
        f.let(base.add(windowOf(f.let(pixel.add(j).minU(s.area.sub(1))), s.outWidth, s.stepRow, s.stepCol))),
      );
      const weights = f.let(
        s.a.add(
          group
            .remU(s.groups)
            .mul(panels)
            .mul(s.taps)
            .mul(4 * rows),
        ),
      );
      const target = f.let(s.y.add(group.mul(s.outputs).mul(rowStride)).add(pixel.shl(2)));
      f.range(0, s.taps, s.stretch, (from) => {
        const depth = f.let(from.add(s.stretch).minU(s.taps).sub(from));
        const first = f.let(s.offsets.add(from.shl(2)));
        const end = f.let(first.add(depth.shl(2)));
        // Packs `count` pixels from the block's pixel `p` on, at once where they lie side by side.
        const gather = (p: number, count: number, together: boolean): void => {
          const to = f.let(b);
          f.range(first, end, 4, (at) => {
            const offset = f.let(at.i32());
            if (together) {
              const from = f.let(windows[p]!.add(offset));
              const vectors = Array.from({ length: count / 4 }, (_, i) => f.let(from.f32x4(16 * i)));
              vectors.forEach((vector, i) => {
                f.store(to, vector, 4 * p + 16 * i);
              });
            } else {
              for (let j = 0; j < count; j++) f.store(to, windows[p + j]!.add(offset).i32(), 4 * (p + j));
            }
            f.advance(to, 4 * width);
          });
        };
        const inOneRow = (p: number, count: number): I32 => pixel.add(p).remU(s.outWidth).add(count).leU(s.outWidth);
        const byFours = (): void => {
          for (let p = 0; p < width; p += 4) {
            f.if(
              inOneRow(p, 4),
              () => gather(p, 4, true),
              () => gather(p, 4, false),
            );
          }
        };
        if (sideBySide) f.if(inOneRow(0, width), () => gather(0, width, true), byFours);
        else gather(0, width, false);
        f.range(0, panels, 1, (i) => {
          multiplyTile(f, {
            a: weights.add(
              i
                .mul(s.taps)
                .add(from)
                .mul(4 * rows),
            ),
            b,
            depth,
            c: target.add(i.mul(rows).mul(rowStride)),
            rowStride,
            rows: f.let(s.outputs.sub(i.mul(rows))),
            cols,
            fresh: f.let(from.eqz()),
          });
        });
      });
    });
  }),
);

/** Packs the inputs that the taps of a panel meet at pixels `from … from + depth − 1`: [pixel][tap]. */
function packPixels(
  f: KernelBuilder,
  s: { readonly outWidth: I32; readonly stepRow: I32; readonly stepCol: I32 },
  { taps, from, depth, to, sideBySide }: { taps: readonly I32[]; from: I32; depth: I32; to: I32; sideBySide: boolean },
): void {
  const width = taps.length;
  const end = f.let(from.add(depth));
  const pixel = f.let(from);
  f.while(
    () => pixel.ltU(end),
    () => {
      const window = f.let(windowOf(pixel, s.outWidth, s.stepRow, s.stepCol));
      const single = (): void => {
        taps.forEach((tap, j) => {
          f.store(to, tap.add(window).i32(), 4 * j);
        });
        f.advance(to, 4 * width);
        f.advance(pixel, 1);
      };
      if (!sideBySide) {
        single();
        return;
      }
      f.if(
        pixel.remU(s.outWidth).add(4).leU(s.outWidth).and(pixel.add(4).leU(end)),
        () => {
          for (let tap = 0; tap < width; tap += 4) {
            const rows = [0, 1, 2, 3].map((j) => f.let(taps[tap + j]!.add(window).f32x4()));
            transpose4(f, rows).forEach((line, k) => {
              f.store(to, line, 4 * width * k + 4 * tap);
            });
          }
          f.advance(to, 16 * width);
          f.advance(pixel, 4);
        },
        single,
      );
    },
  );
}

/** Bytes of scratch that one thread needs for the gradient of weights. */
export function weightScratch({ rows, cols }: Blocking, outputs: number): number {
  return 4 * cols * (DEPTH + 3 * rows * Math.ceil(outputs / rows));
}

/**
 * Adds `bytes` of partial sums to the running ones behind them, with Kahan's compensation, which lies behind those: a batch may be
 * millions of pixels, and their plain sum would lose digits.
 */
function addExactly(f: KernelBuilder, part: I32, bytes: I32): void {
  f.range(0, bytes, 32, (at) => {
    const from = f.let(part.add(at));
    const to = f.let(from.add(bytes));
    const lost = f.let(to.add(bytes));
    const results = [0, 16].map((offset) => {
      const sum = f.let(to.f32x4(offset));
      const term = f.let(from.f32x4(offset).sub(lost.f32x4(offset)));
      const total = f.let(sum.add(term));
      const rest = f.let(total.sub(sum).sub(term));
      // Of an infinite sum it would be NaN.
      return { total, rest: f.let(rest.eq(rest).select(rest, f32x4(0))) };
    });
    for (const [i, { rest }] of results.entries()) f.store(lost, rest, 16 * i);
    for (const [i, { total }] of results.entries()) f.store(to, total, 16 * i);
  });
}

/**
 * A unit computes the gradient of a tile's width of taps' weights for all output channels of one group: the pixels of the batch, in
 * order, are the inner axis.
 */
export const weightProductKernel = variants((sideBySide: boolean) =>
  kernel("conv-weight-grad", { ...SPEC, batch: "i32" }, (f, s) => {
    const { rows, cols: width } = blockingOf(f.target);
    const rowStride = f.let(s.taps.shl(2));
    const panels = f.let(s.outputs.add(rows - 1).divU(rows));
    const bytes = f.let(panels.mul(4 * rows * width));
    const b = f.let(s.scratch.add(f.thread.mul(bytes.mul(3).add(4 * DEPTH * width))));
    const part = f.let(b.add(4 * DEPTH * width));
    f.units((unit) => {
      const group = f.let(unit.divU(s.blocks));
      const tap = f.let(unit.remU(s.blocks).mul(width));
      const cols = f.let(s.taps.sub(tap));
      const offsets = Array.from({ length: width }, (_, j) =>
        f.let(s.offsets.add(tap.add(j).minU(s.taps.sub(1)).shl(2)).i32()),
      );
      const target = f.let(s.y.add(group.mul(s.outputs).mul(rowStride)).add(tap.shl(2)));
      f.fillBytes(part.add(bytes), 0, bytes.shl(1));
      f.range(0, s.batch, 1, (image) => {
        const plane = f.let(image.mul(s.groups).add(group));
        const base = f.let(s.x.add(plane.mul(s.groupBytes)));
        const taps = offsets.map((offset) => f.let(base.add(offset)));
        const dy = f.let(
          s.a.add(
            plane
              .mul(panels)
              .mul(s.area)
              .mul(4 * rows),
          ),
        );
        f.range(0, s.area, s.stretch, (from) => {
          const depth = f.let(from.add(s.stretch).minU(s.area).sub(from));
          packPixels(f, s, { taps, from, depth, to: f.let(b), sideBySide });
          f.range(0, panels, 1, (i) => {
            multiplyTile(f, {
              a: dy.add(
                i
                  .mul(s.area)
                  .add(from)
                  .mul(4 * rows),
              ),
              b,
              depth,
              c: part.add(i.mul(4 * rows * width)),
              rowStride: i32(4 * width),
              rows: i32(rows),
              cols: i32(width),
              fresh: i32(1),
            });
          });
          addExactly(f, part, bytes);
        });
      });
      f.range(0, s.outputs, 1, (o) => {
        const sum = f.let(part.add(bytes).add(o.mul(4 * width)));
        const to = f.let(target.add(o.mul(rowStride)));
        for (let at = 0; at < width; at += 4) {
          f.if(cols.gtU(at), () => f.storeSome(to, sum.f32x4(4 * at), f.let(cols.sub(at)), 4 * at));
        }
      });
    });
  }),
);
