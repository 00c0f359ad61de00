import { type KernelBuilder, kernel, variants } from "../kernel.ts";
import { type I32, i32 } from "../wasm/values.ts";
import { transpose4 } from "./copy.ts";
import { COLS, DEPTH, multiplyTile, ROWS } from "./gemm.ts";

/** Bytes of one step of a panel of A. */
const PANEL_STEP = 4 * ROWS;

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
 * A unit computes eight neighbouring output pixels of all output channels of one image and group: it packs the pixels' columns, a
 * stretch of taps at a time, and multiplies every panel of weights with them. `unit` says that pixels of one row lie side by side.
 */
export const columnProductKernel = variants((sideBySide: boolean) =>
  kernel("conv-product", SPEC, (f, s) => {
    const rowStride = f.let(s.area.shl(2));
    const b = f.let(s.scratch.add(f.thread.mul(4 * DEPTH * COLS)));
    const panels = f.let(s.outputs.add(ROWS - 1).divU(ROWS));
    f.units((unit) => {
      const block = f.let(unit.remU(s.blocks));
      // Image and group together: both images and results of groups lie one after the other.
      const group = f.let(unit.divU(s.blocks));
      const pixel = f.let(block.mul(COLS));
      const cols = f.let(s.area.sub(pixel));
      const base = f.let(s.x.add(group.mul(s.groupBytes)));
      const windows = Array.from({ length: COLS }, (_, j) =>
        f.let(base.add(windowOf(f.let(pixel.add(j).minU(s.area.sub(1))), s.outWidth, s.stepRow, s.stepCol))),
      );
      const weights = f.let(
        s.a.add(
          group
            .remU(s.groups)
            .mul(panels)
            .mul(s.taps)
            .mul(4 * ROWS),
        ),
      );
      const target = f.let(s.y.add(group.mul(s.outputs).mul(rowStride)).add(pixel.shl(2)));
      f.range(0, s.taps, s.stretch, (from) => {
        const depth = f.let(from.add(s.stretch).minU(s.taps).sub(from));
        const first = f.let(s.offsets.add(from.shl(2)));
        const end = f.let(first.add(depth.shl(2)));
        const to = f.let(b);
        const gather = (): void =>
          f.range(first, end, 4, (at) => {
            const offset = f.let(at.i32());
            windows.forEach((window, j) => {
              f.store(to, window.add(offset).i32(), 4 * j);
            });
            f.advance(to, 4 * COLS);
          });
        if (sideBySide) {
          f.if(
            pixel.remU(s.outWidth).add(COLS).leU(s.outWidth),
            () =>
              f.range(first, end, 4, (at) => {
                const from8 = f.let(windows[0]!.add(at.i32()));
                f.store(to, from8.f32x4());
                f.store(to, from8.f32x4(16), 16);
                f.advance(to, 4 * COLS);
              }),
            gather,
          );
        } else gather();
        f.range(0, panels, 1, (i) => {
          multiplyTile(f, {
            a: weights.add(
              i
                .mul(s.taps)
                .add(from)
                .mul(4 * ROWS),
            ),
            b,
            depth,
            c: target.add(i.mul(ROWS).mul(rowStride)),
            rowStride,
            rows: f.let(s.outputs.sub(i.mul(ROWS))),
            cols,
            fresh: f.let(from.eqz()),
          });
        });
      });
    });
  }),
);

/** Packs the inputs that eight taps meet at pixels `from … from + depth − 1`: [pixel][tap]. */
function packPixels(
  f: KernelBuilder,
  s: { readonly outWidth: I32; readonly stepRow: I32; readonly stepCol: I32 },
  { taps, from, depth, to, sideBySide }: { taps: readonly I32[]; from: I32; depth: I32; to: I32; sideBySide: boolean },
): void {
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
        f.advance(to, 4 * COLS);
        f.advance(pixel, 1);
      };
      if (!sideBySide) {
        single();
        return;
      }
      f.if(
        pixel.remU(s.outWidth).add(4).leU(s.outWidth).and(pixel.add(4).leU(end)),
        () => {
          for (let half = 0; half < COLS; half += 4) {
            const rows = [0, 1, 2, 3].map((j) => f.let(taps[half + j]!.add(window).f32x4()));
            transpose4(f, rows).forEach((line, k) => {
              f.store(to, line, 4 * COLS * k + 4 * half);
            });
          }
          f.advance(to, 16 * COLS);
          f.advance(pixel, 4);
        },
        single,
      );
    },
  );
}

/** Bytes of scratch that one thread needs for the gradient of weights. */
export function weightScratch(outputs: number): number {
  return 4 * COLS * (DEPTH + 3 * ROWS * Math.ceil(outputs / ROWS));
}

/**
 * Adds `bytes` of partial sums to the running ones behind them, with Kahan's compensation, which lies behind those: a batch may be
 * millions of pixels, and their plain sum would lose digits.
 */
function addExactly(f: KernelBuilder, part: I32, bytes: I32): void {
  f.range(0, bytes, 16, (at) => {
    const from = f.let(part.add(at));
    const to = f.let(from.add(bytes));
    const lost = f.let(to.add(bytes));
    const sum = f.let(to.f32x4());
    const term = f.let(from.f32x4().sub(lost.f32x4()));
    const total = f.let(sum.add(term));
    f.store(lost, total.sub(sum).sub(term));
    f.store(to, total);
  });
}

/**
 * A unit computes the gradient of eight taps' weights for all output channels of one group: the pixels of the batch, in order, are
 * the inner axis.
 */
export const weightProductKernel = variants((sideBySide: boolean) =>
  kernel("conv-weight-grad", { ...SPEC, batch: "i32" }, (f, s) => {
    const rowStride = f.let(s.taps.shl(2));
    const panels = f.let(s.outputs.add(ROWS - 1).divU(ROWS));
    const bytes = f.let(panels.mul(4 * ROWS * COLS));
    const b = f.let(s.scratch.add(f.thread.mul(bytes.mul(3).add(4 * DEPTH * COLS))));
    const part = f.let(b.add(4 * DEPTH * COLS));
    f.units((unit) => {
      const group = f.let(unit.divU(s.blocks));
      const tap = f.let(unit.remU(s.blocks).mul(COLS));
      const cols = f.let(s.taps.sub(tap));
      const offsets = Array.from({ length: COLS }, (_, j) =>
        f.let(s.offsets.add(tap.add(j).minU(s.taps.sub(1)).shl(2)).i32()),
      );
      const target = f.let(s.y.add(group.mul(s.outputs).mul(rowStride)).add(tap.shl(2)));
      f.fillBytes(part.add(bytes), 0, bytes.shl(1));
      f.range(0, s.batch, 1, (image) => {
        const plane = f.let(image.mul(s.groups).add(group));
        const base = f.let(s.x.add(plane.mul(s.groupBytes)));
        const taps = offsets.map((offset) => f.let(base.add(offset)));
        const dy = f.let(s.a.add(plane.mul(panels).mul(s.area).mul(PANEL_STEP)));
        f.range(0, s.area, s.stretch, (from) => {
          const depth = f.let(from.add(s.stretch).minU(s.area).sub(from));
          packPixels(f, s, { taps, from, depth, to: f.let(b), sideBySide });
          f.range(0, panels, 1, (i) => {
            multiplyTile(f, {
              a: dy.add(i.mul(s.area).add(from).mul(PANEL_STEP)),
              b,
              depth,
              c: part.add(i.mul(4 * ROWS * COLS)),
              rowStride: i32(4 * COLS),
              rows: i32(ROWS),
              cols: i32(COLS),
              fresh: i32(1),
            });
          });
          addExactly(f, part, bytes);
        });
      });
      f.range(0, s.outputs, 1, (o) => {
        const sum = f.let(part.add(bytes).add(o.mul(4 * COLS)));
        const to = f.let(target.add(o.mul(rowStride)));
        f.storeSome(to, sum.f32x4(), cols);
        f.if(cols.gtU(4), () => f.storeSome(to, sum.f32x4(16), f.let(cols.sub(4)), 16));
      });
    });
  }),
);
