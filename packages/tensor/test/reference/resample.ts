import { type NdArray, ndarray } from "../../src/testing.ts";

/** A table of taps along one axis, by its definition. */
export function resampleAxisReference(
  x: NdArray,
  axis: number,
  taps: { outSize: number; tapCount: number; start: ArrayLike<number>; weights: ArrayLike<number> },
): NdArray {
  const inSize = x.shape[axis]!;
  const outer = x.shape.slice(0, axis).reduce((a, b) => a * b, 1);
  const inner = x.shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const y = new Float64Array(outer * taps.outSize * inner);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < taps.outSize; i++) {
      for (let t = 0; t < taps.tapCount; t++) {
        const from = taps.start[i]! + t;
        if (from >= inSize) continue;
        for (let c = 0; c < inner; c++) {
          y[(o * taps.outSize + i) * inner + c]! +=
            taps.weights[i * taps.tapCount + t]! * x.data[(o * inSize + from) * inner + c]!;
        }
      }
    }
  }
  return ndarray(
    x.shape.map((size, i) => (i === axis ? taps.outSize : size)),
    y,
  );
}

function cubic(d: number, a: number): number {
  if (d <= 1) return (a + 2) * d ** 3 - (a + 3) * d ** 2 + 1;
  return d < 2 ? a * d ** 3 - 5 * a * d ** 2 + 8 * a * d - 4 * a : 0;
}

/** What the reference interpolates with; `step` is the distance of two outputs in inputs, by axis. */
export interface ReferenceInterpolation {
  readonly mode: "nearest" | "area" | "bilinear" | "bicubic";
  readonly size: readonly [number, number];
  readonly step: readonly [number, number];
  readonly antialias?: boolean;
  readonly cubicA?: number;
}

/** How much every input along an axis adds to output `i`. */
function weightsOf(
  i: number,
  inSize: number,
  outSize: number,
  step: number,
  options: ReferenceInterpolation,
): Float64Array {
  const weights = new Float64Array(inSize);
  const border = (at: number): number => Math.min(Math.max(at, 0), inSize - 1);
  const { mode, antialias = false, cubicA = antialias ? -0.5 : -0.75 } = options;
  if (mode === "nearest") {
    weights[border(Math.floor(i * step + 1e-9))] = 1;
  } else if (mode === "area") {
    const from = Math.floor((i * inSize) / outSize);
    const to = Math.ceil(((i + 1) * inSize) / outSize);
    for (let j = from; j < to; j++) weights[j] = 1 / (to - from);
  } else if (antialias) {
    // Every input within the support of the widened filter around the output's centre.
    const scale = Math.max(1, step);
    const centre = (i + 0.5) * step;
    for (let j = 0; j < inSize; j++) {
      const d = Math.abs(j + 0.5 - centre) / scale;
      weights[j] = mode === "bicubic" ? cubic(d, cubicA) : Math.max(0, 1 - d);
    }
    const total = weights.reduce((a, b) => a + b, 0);
    for (let j = 0; j < inSize; j++) weights[j]! /= total;
  } else if (mode === "bilinear") {
    const at = Math.max(0, (i + 0.5) * step - 0.5);
    const below = Math.floor(at);
    weights[border(below)]! += 1 - (at - below);
    weights[border(below + 1)]! += at - below;
  } else {
    const at = (i + 0.5) * step - 0.5;
    for (let tap = -1; tap <= 2; tap++) {
      const j = Math.floor(at) + tap;
      weights[border(j)]! += cubic(Math.abs(j - at), cubicA);
    }
  }
  return weights;
}

/** Resizes images (b, c, h, w) as a full double sum over the input. */
export function interpolateReference(x: NdArray, options: ReferenceInterpolation): NdArray {
  const [batch, channels, height, width] = x.shape as [number, number, number, number];
  const [outHeight, outWidth] = options.size;
  const y = new Float64Array(batch * channels * outHeight * outWidth);
  const cols = Array.from({ length: outWidth }, (_, i) => weightsOf(i, width, outWidth, options.step[1], options));
  for (let oy = 0; oy < outHeight; oy++) {
    const row = weightsOf(oy, height, outHeight, options.step[0], options);
    for (let plane = 0; plane < batch * channels; plane++) {
      for (let ox = 0; ox < outWidth; ox++) {
        let sum = 0;
        for (let iy = 0; iy < height; iy++) {
          if (row[iy] === 0) continue;
          for (let ix = 0; ix < width; ix++)
            sum += row[iy]! * cols[ox]![ix]! * x.data[(plane * height + iy) * width + ix]!;
        }
        y[(plane * outHeight + oy) * outWidth + ox] = sum;
      }
    }
  }
  return ndarray([batch, channels, outHeight, outWidth], y);
}
