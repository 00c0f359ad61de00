import type { ConvGeometry } from "../../../backend.ts";
import type { CpuEngine } from "../engine.ts";
import { type KernelBuilder, kernel, variants } from "../kernel.ts";
import { type F32x4, f32x4, type I32, i32 } from "../wasm/values.ts";
import { overRow, put } from "./vectors.ts";

/** The image that a depthwise kernel walks over, padded, in bytes; and the window's steps in it. */
export interface PaddedImage {
  readonly address: number;
  readonly rowBytes: number;
  readonly planeBytes: number;
}

interface Window {
  readonly kh: number;
  readonly kw: number;
  /** Windows of neighbouring outputs lie side by side: their stride is 1. */
  readonly sideBySide: boolean;
  /** Taps of a row are neighbours: their dilation is 1. */
  readonly adjacent: boolean;
}

const SPEC = {
  x: "i32",
  weight: "i32",
  y: "i32",
  channels: "i32",
  multiplier: "i32",
  outHeight: "i32",
  outWidth: "i32",
  row: "i32",
  plane: "i32",
  stepRow: "i32",
  stepCol: "i32",
  tapRow: "i32",
  tapCol: "i32",
  batch: "i32",
  kernelWidth: "i32",
} as const;

/** Four neighbouring outputs' inputs, `step` bytes apart; where only the first few `exist`, the others are not read. */
function inputs(f: KernelBuilder, at: I32, step: I32, exist?: I32): F32x4 {
  let value = at.splatF32();
  for (let lane = 1; lane < 4; lane++) {
    const bytes = exist ? exist.gtU(lane).select(step.mul(lane), i32(0)) : step.mul(lane);
    value = f.let(at.add(bytes).lane(value, lane));
  }
  return value;
}

/** A unit computes one row of one output plane; the weights stay in registers where they fit. */
const forwardKernel = variants(({ kh, kw, sideBySide, adjacent }: Window) =>
  kernel("depthwise", SPEC, (f, a) => {
    f.units((unit) => {
      const plane = f.let(unit.divU(a.outHeight));
      const channel = f.let(plane.remU(a.channels));
      const weights = Array.from({ length: kh * kw }, (_, tap) =>
        f.let(a.weight.add(channel.mul(4 * kh * kw)).splatF32(4 * tap)),
      );
      const top = f.let(a.x.add(plane.divU(a.multiplier).mul(a.plane)).add(unit.remU(a.outHeight).mul(a.stepRow)));
      const rows = Array.from({ length: kh }, (_, ky) => f.let(top.add(a.tapRow.mul(ky))));
      const to = f.let(a.y.add(unit.mul(a.outWidth).shl(2)));
      const sumOf = (read: (ky: number, kx: number) => F32x4): F32x4 => {
        const sum = f.let(f32x4(0));
        for (let ky = 0; ky < kh; ky++) {
          for (let kx = 0; kx < kw; kx++) f.set(sum, f.fma(weights[ky * kw + kx]!, read(ky, kx), sum));
        }
        return sum;
      };
      const tapOf = (row: I32, kx: number): I32 => f.let(row.add(a.tapCol.mul(kx)));
      if (sideBySide) {
        overRow(
          f,
          [to, ...rows],
          a.outWidth,
          ([, ...at], { offset }) =>
            sumOf((ky, kx) => (adjacent ? at[ky]!.f32x4(offset + 4 * kx) : tapOf(at[ky]!, kx).f32x4(offset))),
          (sum, [at], part) => put(f, at!, sum, part),
        );
        return;
      }
      f.range(0, a.outWidth, 4, (col) => {
        const left = f.let(a.outWidth.sub(col));
        const sum = sumOf((ky, kx) => inputs(f, tapOf(rows[ky]!, kx), a.stepCol, left));
        f.storeSome(to, sum, left);
        f.advance(to, 16);
        for (const row of rows) f.advance(row, a.stepCol.shl(2));
      });
    });
  }),
);

/** A unit computes one weight's gradient: the sum of dy times the input that the weight meets, over the batch. */
const weightGradKernel = variants(({ sideBySide }: { sideBySide: boolean }) =>
  kernel("depthwise-weight-grad", { ...SPEC, taps: "i32" }, (f, a) => {
    f.units((unit) => {
      const channel = f.let(unit.divU(a.taps));
      const tap = f.let(unit.remU(a.taps));
      const shift = f.let(tap.divU(a.kernelWidth).mul(a.tapRow).add(tap.remU(a.kernelWidth).mul(a.tapCol)));
      // Rows are summed plainly, their sums with Kahan's compensation: a batch may be millions of pixels.
      const total = f.let(f32x4(0));
      const lost = f.let(f32x4(0));
      const whole = f.let(a.outWidth.and(-4));
      f.range(0, a.batch, 1, (b) => {
        const plane = f.let(b.mul(a.channels).add(channel));
        const line = f.let(a.x.add(plane.divU(a.multiplier).mul(a.plane)).add(shift));
        const dy = f.let(a.y.add(plane.mul(a.outHeight).mul(a.outWidth).shl(2)));
        f.range(0, a.outHeight, 1, () => {
          const at = f.let(line);
          const sum = f.let(f32x4(0));
          f.range(0, whole, 4, () => {
            f.set(sum, f.fma(dy.f32x4(), sideBySide ? at.f32x4() : inputs(f, at, a.stepCol), sum));
            f.advance(dy, 16);
            f.advance(at, a.stepCol.shl(2));
          });
          f.range(whole, a.outWidth, 1, () => {
            f.set(sum, f.fma(dy.loadF32(), at.loadF32(), sum));
            f.advance(dy, 4);
            f.advance(at, a.stepCol);
          });
          f.advance(line, a.stepRow);
          const term = f.let(sum.sub(lost));
          const next = f.let(total.add(term));
          f.set(lost, next.sub(total).sub(term));
          f.set(total, next);
        });
      });
      f.store(f.let(a.weight.add(unit.shl(2))), f.sumLanes(total));
    });
  }),
);

function argumentsOf(g: ConvGeometry, image: PaddedImage): Record<keyof typeof SPEC, number> {
  return {
    x: image.address,
    weight: 0,
    y: 0,
    channels: g.outChannels,
    multiplier: g.outChannels / g.channels,
    outHeight: g.outHeight,
    outWidth: g.outWidth,
    row: image.rowBytes,
    plane: image.planeBytes,
    stepRow: g.stride[0] * image.rowBytes,
    stepCol: g.stride[1] * 4,
    tapRow: g.dilation[0] * image.rowBytes,
    tapCol: g.dilation[1] * 4,
    batch: g.batch,
    kernelWidth: g.kernel[1],
  };
}

/** Windows whose weights are written out one by one. */
export const MAX_TAPS = 121;

/** Depthwise convolution over a padded image. */
export function depthwise(cpu: CpuEngine, g: ConvGeometry, image: PaddedImage, weight: number, y: number): void {
  const [kh, kw] = g.kernel;
  const units = g.batch * g.outChannels * g.outHeight;
  const form = forwardKernel({ kh, kw, sideBySide: g.stride[1] === 1, adjacent: g.dilation[1] === 1 });
  cpu.launch(form, { ...argumentsOf(g, image), weight, y }, units, 20 + g.outWidth * kh * kw * 0.2);
}

/** The gradient of the weights. */
export function depthwiseWeightGrad(
  cpu: CpuEngine,
  g: ConvGeometry,
  image: PaddedImage,
  weight: number,
  y: number,
): void {
  const taps = g.kernel[0] * g.kernel[1];
  const args = { ...argumentsOf(g, image), weight, y, taps };
  const cost = g.batch * g.outHeight * g.outWidth * 0.3;
  cpu.launch(weightGradKernel({ sideBySide: g.stride[1] === 1 }), args, g.outChannels * taps, 20 + cost);
}
