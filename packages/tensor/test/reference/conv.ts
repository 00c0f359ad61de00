import { type NdArray, ndarray } from "../../src/testing.ts";

/** Sizes of a reference convolution; pairs are (height, width). */
export interface ReferenceConv {
  readonly stride?: readonly [number, number];
  readonly padding?: readonly [number, number];
  readonly dilation?: readonly [number, number];
  readonly groups?: number;
}

/** Cross-correlation by its definition: seven nested loops. */
export function conv2dReference(
  x: NdArray,
  weight: NdArray,
  bias: NdArray | undefined,
  options: ReferenceConv = {},
): NdArray {
  const { stride: [sh, sw] = [1, 1], padding: [ph, pw] = [0, 0], dilation: [dh, dw] = [1, 1], groups = 1 } = options;
  const [batch, channels, height, width] = x.shape as [number, number, number, number];
  const [outChannels, perGroup, kh, kw] = weight.shape as [number, number, number, number];
  const outHeight = Math.floor((height + 2 * ph - dh * (kh - 1) - 1) / sh) + 1;
  const outWidth = Math.floor((width + 2 * pw - dw * (kw - 1) - 1) / sw) + 1;
  const y = new Float64Array(batch * outChannels * outHeight * outWidth);
  let at = 0;
  for (let b = 0; b < batch; b++) {
    for (let o = 0; o < outChannels; o++) {
      const first = Math.floor(o / (outChannels / groups)) * perGroup;
      for (let oy = 0; oy < outHeight; oy++) {
        for (let ox = 0; ox < outWidth; ox++) {
          let sum = bias ? bias.data[o]! : 0;
          for (let c = 0; c < perGroup; c++) {
            for (let ky = 0; ky < kh; ky++) {
              for (let kx = 0; kx < kw; kx++) {
                const iy = oy * sh + ky * dh - ph;
                const ix = ox * sw + kx * dw - pw;
                if (iy < 0 || iy >= height || ix < 0 || ix >= width) continue;
                const pixel = x.data[((b * channels + first + c) * height + iy) * width + ix]!;
                sum += pixel * weight.data[((o * perGroup + c) * kh + ky) * kw + kx]!;
              }
            }
          }
          y[at++] = sum;
        }
      }
    }
  }
  return ndarray([batch, outChannels, outHeight, outWidth], y);
}

/** Gradients of `Σ y·dy` by the definition: every product of the forward pass, handed back to its factors. */
export function conv2dGradients(
  x: NdArray,
  weight: NdArray,
  dy: NdArray,
  options: ReferenceConv = {},
): { dx: Float64Array; dWeight: Float64Array } {
  const { stride: [sh, sw] = [1, 1], padding: [ph, pw] = [0, 0], dilation: [dh, dw] = [1, 1], groups = 1 } = options;
  const [, channels, height, width] = x.shape as [number, number, number, number];
  const [outChannels, perGroup, kh, kw] = weight.shape as [number, number, number, number];
  const [batch, , outHeight, outWidth] = dy.shape as [number, number, number, number];
  const dx = new Float64Array(x.data.length);
  const dWeight = new Float64Array(weight.data.length);
  let at = 0;
  for (let b = 0; b < batch; b++) {
    for (let o = 0; o < outChannels; o++) {
      const first = Math.floor(o / (outChannels / groups)) * perGroup;
      for (let oy = 0; oy < outHeight; oy++) {
        for (let ox = 0; ox < outWidth; ox++) {
          const gradient = dy.data[at++]!;
          for (let c = 0; c < perGroup; c++) {
            for (let ky = 0; ky < kh; ky++) {
              for (let kx = 0; kx < kw; kx++) {
                const iy = oy * sh + ky * dh - ph;
                const ix = ox * sw + kx * dw - pw;
                if (iy < 0 || iy >= height || ix < 0 || ix >= width) continue;
                const pixel = ((b * channels + first + c) * height + iy) * width + ix;
                const tap = ((o * perGroup + c) * kh + ky) * kw + kx;
                dx[pixel]! += gradient * weight.data[tap]!;
                dWeight[tap]! += gradient * x.data[pixel]!;
              }
            }
          }
        }
      }
    }
  }
  return { dx, dWeight };
}

/** How `poolReference` treats the borders; by default windows stay inside the image. */
export interface ReferencePool {
  readonly padding?: readonly [number, number];
  readonly outSize?: readonly [number, number];
  /** Divides a mean by the number of pixels inside the image. */
  readonly insideOnly?: boolean;
}

/** Largest value or mean of each window; what lies outside the image is no candidate, and adds nothing. */
export function poolReference(
  x: NdArray,
  kind: "max" | "mean",
  [kh, kw]: readonly [number, number],
  [sh, sw]: readonly [number, number],
  { padding: [ph, pw] = [0, 0], outSize, insideOnly = false }: ReferencePool = {},
): NdArray {
  const [batch, channels, height, width] = x.shape as [number, number, number, number];
  const [outHeight, outWidth] = outSize ?? [
    Math.floor((height + 2 * ph - kh) / sh) + 1,
    Math.floor((width + 2 * pw - kw) / sw) + 1,
  ];
  const y = new Float64Array(batch * channels * outHeight * outWidth);
  let at = 0;
  for (let plane = 0; plane < batch * channels; plane++) {
    for (let oy = 0; oy < outHeight; oy++) {
      for (let ox = 0; ox < outWidth; ox++) {
        let best = Number.NEGATIVE_INFINITY;
        let sum = 0;
        let inside = 0;
        for (let ky = 0; ky < kh; ky++) {
          for (let kx = 0; kx < kw; kx++) {
            const iy = oy * sh + ky - ph;
            const ix = ox * sw + kx - pw;
            if (iy < 0 || iy >= height || ix < 0 || ix >= width) continue;
            const value = x.data[(plane * height + iy) * width + ix]!;
            best = Math.max(best, value);
            sum += value;
            inside++;
          }
        }
        y[at++] = kind === "max" ? best : sum / (insideOnly ? inside : kh * kw);
      }
    }
  }
  return ndarray([batch, channels, outHeight, outWidth], y);
}
