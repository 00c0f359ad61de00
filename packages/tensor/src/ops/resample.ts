import {
  checkChoice,
  checkFlag,
  checkNumber,
  checkOptions,
  checkTensor,
  checkWhole,
  wrongArgument,
} from "../arguments.ts";
import { composed, record } from "../autograd.ts";
import type { View } from "../backend.ts";
import { describe, ShapeError, shown } from "../errors.ts";
import { denseLayout } from "../layout.ts";
import { filled } from "../making.ts";
import { normalizeDim, numel } from "../shape.ts";
import type { Device, Tensor } from "../tensor.ts";
import { allocated } from "../value.ts";
import { checkPair, type PoolOptions, pair, poolGeometry, type Size2d } from "./conv.ts";
import { checkFloats, throughF32 } from "./floats.ts";
import { mean } from "./reduce.ts";

/**
 * A linear filter along one axis: output i is `Σ_t weights[i·tapCount + t] · x[start[i] + t]`. Taps that reach past the end of
 * the axis count nothing.
 */
export interface Taps {
  readonly outSize: number;
  readonly tapCount: number;
  /** First input position of each output, at least 0. */
  readonly start: Int32Array;
  /** (outSize, tapCount) */
  readonly weights: Float32Array;
}

/** Inputs and weights of one output, before they are laid out as a table. */
type Row = readonly (readonly [position: number, weight: number])[];

/** Lays rows out as a table; weights that fall on one position are added. */
function tapsOf(rows: readonly Row[]): Taps {
  const start = Int32Array.from(rows, (row) => row.reduce((least, [at]) => Math.min(least, at), row[0]?.[0] ?? 0));
  const tapCount = Math.max(
    1,
    ...rows.map((row, i) => row.reduce((most, [at]) => Math.max(most, at - start[i]! + 1), 1)),
  );
  const sums = new Float64Array(rows.length * tapCount);
  rows.forEach((row, i) => {
    for (const [at, weight] of row) sums[i * tapCount + at - start[i]!]! += weight;
  });
  return { outSize: rows.length, tapCount, start, weights: Float32Array.from(sums) };
}

/** How `interpolationTaps` samples. */
export interface InterpolationOptions {
  readonly mode: "nearest" | "area" | "bilinear" | "bicubic";
  /** Distance of two outputs, in inputs; default inSize / outSize. */
  readonly step?: number;
  /** Widens a bilinear or bicubic filter by the step where it shrinks, and normalises it. */
  readonly antialias?: boolean;
  /** The cubic's parameter; default −0.75, with `antialias` −0.5, as PyTorch. */
  readonly cubicA?: number;
}

/** Keys' cubic convolution kernel. @see https://doi.org/10.1109/TASSP.1981.1163711 */
function cubic(distance: number, a: number): number {
  const d = Math.abs(distance);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

/** The inputs and weights of output `i`, pixel centres at half-integers. */
function interpolationRow(i: number, inSize: number, outSize: number, options: InterpolationOptions): Row {
  const { mode, step = inSize / outSize, antialias = false, cubicA = antialias ? -0.5 : -0.75 } = options;
  const clamp = (at: number): number => Math.min(Math.max(at, 0), inSize - 1);
  if (mode === "nearest") {
    // i·in / out in this order is exact where it is whole; i·(in / out) may fall just below.
    return [[clamp(Math.floor(options.step === undefined ? (i * inSize) / outSize : i * step)), 1]];
  }
  if (mode === "area") {
    const first = Math.floor((i * inSize) / outSize);
    const end = Math.ceil(((i + 1) * inSize) / outSize);
    return Array.from({ length: end - first }, (_, t) => [first + t, 1 / (end - first)]);
  }
  const kernel = (d: number): number => (mode === "bicubic" ? cubic(d, cubicA) : Math.max(0, 1 - Math.abs(d)));
  if (antialias) {
    const widening = Math.max(step, 1);
    const support = (mode === "bicubic" ? 2 : 1) * widening;
    const centre = (i + 0.5) * step;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(inSize, Math.trunc(centre + support + 0.5));
    const weights = Array.from({ length: end - first }, (_, t) => kernel((first + t - centre + 0.5) / widening));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return weights.map((weight, t) => [first + t, weight / total]);
  }
  const source = (i + 0.5) * step - 0.5;
  const position = mode === "bilinear" ? Math.max(0, source) : source;
  const [below, count] = mode === "bicubic" ? [Math.floor(position) - 1, 4] : [Math.floor(position), 2];
  return Array.from({ length: count }, (_, t) => [clamp(below + t), kernel(below + t - position)]);
}

const knownTaps = new Map<string, Taps>();
/** Tables that are kept; a run with random scales goes through many. */
const MAX_TABLES = 256;

/** Fetches or makes an entry and marks it as the newest; `drop` is called with what has to go for it. */
function recent<K, V>(map: Map<K, V>, key: K, make: () => V, drop?: (value: V) => void): V {
  const value = map.get(key) ?? make();
  map.delete(key);
  map.set(key, value);
  if (map.size > MAX_TABLES) {
    const [oldest, old] = map.entries().next().value!;
    map.delete(oldest);
    drop?.(old);
  }
  return value;
}

/**
 * The filter that resizes an axis from `inSize` to `outSize`, `align_corners = false`: positions `(i + ½)·step − ½`, borders
 * repeated. `area` is the mean over `⌊i·in/out⌋ … ⌈(i + 1)·in/out⌉ − 1`, `nearest` takes `⌊i·step⌋`. Equal arguments give the
 * same object.
 */
export function interpolationTaps(inSize: number, outSize: number, options: InterpolationOptions): Taps {
  checkWhole("interpolationTaps", "inSize", inSize, 1);
  checkWhole("interpolationTaps", "outSize", outSize, 1);
  checkOptions("interpolationTaps", options, ["mode", "step", "antialias", "cubicA"]);
  const { mode, step, antialias, cubicA } = options;
  checkChoice("interpolationTaps", "mode", mode, MODES);
  if (step !== undefined && !(step > 0 && step < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`interpolationTaps: step ${shown(step)} has to be above 0 and finite`);
  }
  checkFlag("interpolationTaps", "antialias", antialias);
  if (cubicA !== undefined) checkNumber("interpolationTaps", "cubicA", cubicA);
  return recent(knownTaps, [inSize, outSize, mode, step, antialias, cubicA].join(), () =>
    tapsOf(Array.from({ length: outSize }, (_, i) => interpolationRow(i, inSize, outSize, options))),
  );
}

const adjoints = new WeakMap<Taps, Map<number, Taps>>();

/** The transposed filter, from an axis of `taps.outSize` back to one of `inSize`. */
function adjointTaps(taps: Taps, inSize: number): Taps {
  const known = adjoints.get(taps) ?? new Map<number, Taps>();
  adjoints.set(taps, known);
  return recent(known, inSize, () => {
    const rows: [number, number][][] = Array.from({ length: inSize }, () => []);
    for (let i = 0; i < taps.outSize; i++) {
      for (let t = 0; t < taps.tapCount; t++) {
        const weight = taps.weights[i * taps.tapCount + t]!;
        if (weight !== 0) rows[taps.start[i]! + t]?.push([i, weight]);
      }
    }
    return tapsOf(rows);
  });
}

interface Uploaded {
  readonly start: View;
  readonly weights: View;
}

const uploads = new WeakMap<Device, Map<Taps, Uploaded>>();

/** The tables on a device. They belong to no scope; the least recently used are given back. */
function uploaded(device: Device, taps: Taps): Uploaded {
  const known = uploads.get(device) ?? new Map<Taps, Uploaded>();
  uploads.set(device, known);
  const send = (data: Int32Array | Float32Array, label: string): View => {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const storage = allocated(device.backend, data.byteLength, label, (out) => device.backend.upload(out, bytes));
    return { storage, layout: denseLayout([data.length]), dtype: data instanceof Int32Array ? "i32" : "f32" };
  };
  return recent(
    known,
    taps,
    () => {
      const start = send(taps.start, "resample start");
      try {
        return { start, weights: send(taps.weights, "resample weights") };
      } catch (error) {
        start.storage.release();
        throw error;
      }
    },
    (old) => {
      old.start.storage.release();
      old.weights.storage.release();
    },
  );
}

/**
 * Filters one axis: `x (…, n, …)` → `(…, taps.outSize, …)`. Its gradient is the transposed filter.
 * @throws ShapeError where the table does not fit itself or the axis.
 */
export function resampleAxis(x: Tensor, dim: number, taps: Taps): Tensor {
  checkTensor("resampleAxis", "x", x);
  if (!(taps?.start instanceof Int32Array && taps.weights instanceof Float32Array)) {
    throw wrongArgument("resampleAxis", "taps", "a table such as interpolationTaps makes", taps);
  }
  const axis = normalizeDim("resampleAxis", dim, x.rank);
  checkFloats("resampleAxis", { x });
  if (x.dtype === "f16") return throughF32("resampleAxis", [x], (x) => resampleAxis(x, axis, taps));
  const { outSize, tapCount, start, weights } = taps;
  const inSize = x.shape[axis]!;
  if (start.length !== outSize || weights.length !== outSize * tapCount) {
    throw new ShapeError(
      `resampleAxis: ${outSize} outputs of ${tapCount} taps need ${outSize} starts and ${outSize * tapCount} weights, got ${start.length} and ${weights.length}`,
    );
  }
  const outside = start.find((at) => at < 0 || at >= inSize);
  if (outside !== undefined) {
    throw new ShapeError(`resampleAxis: taps start at ${outside}, outside dim ${axis} of ${describe(x)}`);
  }
  const shape = x.shape.map((size, i) => (i === axis ? outSize : size));
  const input = x.dense("resampleAxis");
  const y = filled(x.device, shape, "f32", "resampleAxis", (out) => {
    if (numel(shape) === 0) return;
    x.device.backend.resample({
      outer: numel(x.shape.slice(0, axis)),
      inSize,
      outSize,
      inner: numel(x.shape.slice(axis + 1)),
      taps: tapCount,
      x: input,
      ...uploaded(x.device, taps),
      out,
    });
  });
  return record(y, "resampleAxis", [x, (dy) => resampleAxis(dy, axis, adjointTaps(taps, inSize))]);
}

/** Both image axes, the one that leaves fewer numbers for the other first. */
function resampleImage(x: Tensor, rows: Taps | undefined, cols: Taps | undefined): Tensor {
  // In f32 from the first axis to the last.
  if (x.dtype === "f16") return throughF32("interpolate", [x], (x) => resampleImage(x, rows, cols));
  const shrink = (taps: Taps | undefined, axis: number): number => (taps ? taps.outSize / x.shape[axis]! : 1);
  const rowsFirst = shrink(rows, 2) <= shrink(cols, 3);
  const alongRows = (image: Tensor): Tensor => (rows ? resampleAxis(image, 2, rows) : image);
  const alongCols = (image: Tensor): Tensor => (cols ? resampleAxis(image, 3, cols) : image);
  return rowsFirst ? alongCols(alongRows(x)) : alongRows(alongCols(x));
}

/** What `interpolate` takes besides the image: exactly one of `size` and `scaleFactor`. */
export interface InterpolateOptions {
  readonly mode: InterpolationOptions["mode"];
  /** Output (height, width); outputs are in / out apart. */
  readonly size?: Size2d;
  /** Output ⌊in · factor⌋; outputs are 1 / factor apart, except with `area`. */
  readonly scaleFactor?: Size2d;
  readonly antialias?: boolean;
  readonly cubicA?: number;
}

const INTERPOLATE = [
  "mode",
  "size",
  "scaleFactor",
  "antialias",
  "cubicA",
] as const satisfies (keyof InterpolateOptions)[];

const MODES: readonly string[] = ["nearest", "area", "bilinear", "bicubic"];

/**
 * Resizes images, `x (b, c, h, w)` → `(b, c, h', w')`, with PyTorch's `interpolate(align_corners=False)`: see
 * `interpolationTaps`. Bicubic results may leave the range of the image.
 * @throws ShapeError unless one of `size` and `scaleFactor` is given and gives an image.
 */
export function interpolate(x: Tensor, options: InterpolateOptions): Tensor {
  checkTensor("interpolate", "x", x);
  checkOptions("interpolate", options, INTERPOLATE);
  const { mode, size, scaleFactor, antialias = false, cubicA } = options;
  checkFlag("interpolate", "antialias", antialias);
  if (cubicA !== undefined) checkNumber("interpolate", "cubicA", cubicA);
  checkFloats("interpolate", { x });
  if (x.rank !== 4) throw new ShapeError(`interpolate: takes x (b, c, h, w), got ${describe(x)}`);
  if (!MODES.includes(mode)) throw new ShapeError(`interpolate: mode ${shown(mode)} is none of ${MODES.join(", ")}`);
  if (antialias && (mode === "nearest" || mode === "area")) {
    throw new ShapeError(`interpolate: antialias is for bilinear and bicubic, not for ${mode}`);
  }
  if ((size === undefined) === (scaleFactor === undefined)) {
    throw new ShapeError(`interpolate: give either size or scaleFactor for x ${describe(x)}`);
  }
  const sizes = size === undefined ? undefined : checkPair("interpolate", "size", size, 1);
  const factors = scaleFactor === undefined ? undefined : pair(scaleFactor);
  if (
    factors !== undefined &&
    !(
      Array.isArray(factors) &&
      factors.length === 2 &&
      factors.every((factor) => factor > 0 && Number.isFinite(factor))
    )
  ) {
    throw new ShapeError(`interpolate: scaleFactor ${shown(scaleFactor)} has to be one or two numbers above 0`);
  }
  const along = (axis: 0 | 1): Taps | undefined => {
    const inSize = x.shape[2 + axis]!;
    const factor = factors?.[axis];
    const outSize = sizes?.[axis] ?? Math.floor(inSize * factor!);
    if (!Number.isInteger(outSize) || outSize < 1 || inSize < 1) {
      throw new ShapeError(
        `interpolate: no image of ${outSize} pixels along dim ${axis + 2} can come from x ${describe(x)}`,
      );
    }
    const step = factor === undefined || mode === "area" ? undefined : 1 / factor;
    if (outSize === inSize && (step ?? 1) === 1) return undefined;
    return interpolationTaps(inSize, outSize, {
      mode,
      antialias,
      ...(step === undefined ? {} : { step }),
      ...(cubicA === undefined ? {} : { cubicA }),
    });
  };
  const [rows, cols] = [along(0), along(1)];
  return composed("interpolate", () => resampleImage(x, rows, cols));
}

/**
 * Mean of each window: `x (b, c, h, w)` → `(b, c, ⌊(h + 2·padding − kh) / stride⌋ + 1, …)`. What lies outside the image counts as zeros, or
 * not at all with `countIncludePad: false`.
 */
export function avgPool2d(x: Tensor, options: PoolOptions & { readonly countIncludePad?: boolean }): Tensor {
  checkTensor("avgPool2d", "x", x);
  checkOptions("avgPool2d", options, ["kernel", "stride", "padding", "countIncludePad"]);
  checkFlag("avgPool2d", "countIncludePad", options.countIncludePad);
  checkFloats("avgPool2d", { x });
  const { kernel, stride, padding, outSize } = poolGeometry("avgPool2d", x, options);
  const { countIncludePad = true } = options;
  const along = (axis: 0 | 1): Taps => {
    const [window, step, before, size] = [kernel[axis], stride[axis], padding[axis], x.shape[2 + axis]!];
    return recent(knownTaps, `window,${[window, step, before, size, countIncludePad]}`, () =>
      tapsOf(
        Array.from({ length: outSize[axis] }, (_, i) => {
          const first = Math.max(0, i * step - before);
          const end = Math.min(size, i * step - before + window);
          const weight = 1 / (countIncludePad ? window : end - first);
          return Array.from({ length: end - first }, (_, t) => [first + t, weight]);
        }),
      ),
    );
  };
  return composed("avgPool2d", () => resampleImage(x, along(0), along(1)));
}

/** Mean over a grid of `size` nearly equal parts: `x (b, c, h, w)` → `(b, c, …size)`. */
export function adaptiveAvgPool2d(x: Tensor, size: Size2d): Tensor {
  checkTensor("adaptiveAvgPool2d", "x", x);
  checkFloats("adaptiveAvgPool2d", { x });
  const [h, w] = checkPair("adaptiveAvgPool2d", "size", size, 1);
  if (x.rank !== 4 || x.shape[2] === 0 || x.shape[3] === 0) {
    throw new ShapeError(`adaptiveAvgPool2d: takes images x (b, c, h, w), got ${describe(x)}`);
  }
  return composed("adaptiveAvgPool2d", () =>
    h === 1 && w === 1 ? mean(x, { dim: [2, 3], keepDim: true }) : interpolate(x, { mode: "area", size }),
  );
}
