/**
 * Window attention's arithmetic. hs, ws: window height and width; n = hs·ws tokens in a window, row by row;
 * windows are numbered row by row inside an image, images one after another.
 */

/** Height and width. */
export type Size = readonly [number, number];

/** Added to the logits of two tokens that the cyclic shift brought together from different regions. */
export const MASKED = -100;

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** The size to which images are padded below and to the right, so that the windows of both branches tile them. */
export function paddedSize(size: Size, split: Size): Size {
  const multiple = (split[0] * split[1]) / greatestCommonDivisor(split[0], split[1]);
  return [Math.ceil(size[0] / multiple) * multiple, Math.ceil(size[1] / multiple) * multiple];
}

/** All offsets between two tokens of a window, `((2hs-1)(2ws-1), 2)` row by row: (1-hs..hs-1, 1-ws..ws-1). */
export function relativeOffsets([hs, ws]: Size): Float32Array {
  const rows = 2 * hs - 1;
  const columns = 2 * ws - 1;
  const offsets = new Float32Array(rows * columns * 2);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      offsets[(i * columns + j) * 2] = i + 1 - hs;
      offsets[(i * columns + j) * 2 + 1] = j + 1 - ws;
    }
  }
  return offsets;
}

/** `(n, n)`: where in {@link relativeOffsets} the offset of token i from token j stands. */
export function relativePositionIndex([hs, ws]: Size): Int32Array {
  const n = hs * ws;
  const index = new Int32Array(n * n);
  for (let i = 0; i < n; i++) {
    const hi = Math.floor(i / ws);
    for (let j = 0; j < n; j++) {
      const hj = Math.floor(j / ws);
      index[i * n + j] = (hi - hj + hs - 1) * (2 * ws - 1) + ((i % ws) - (j % ws) + ws - 1);
    }
  }
  return index;
}

/** Which of the three bands of a shifted axis a position lies in: before the last window, in its unshifted part, after it. */
function bands(length: number, window: number, shift: number): Uint8Array {
  const band = new Uint8Array(length);
  band.fill(1, length - window);
  // Without a shift the reference's slice from -0 covers the whole axis: a single band.
  band.fill(2, shift === 0 ? 0 : length - shift);
  return band;
}

/**
 * Shift mask `(windows, n, n)` of an image of padded size: 0 for two tokens of one region, -100 otherwise.
 * @see Swin Transformer, https://arxiv.org/abs/2103.14030, section 3.2
 */
export function shiftMask([height, width]: Size, [hs, ws]: Size, [shiftH, shiftW]: Size): Float32Array {
  const n = hs * ws;
  const across = width / ws;
  const rowBand = bands(height, hs, shiftH);
  const columnBand = bands(width, ws, shiftW);
  const mask = new Float32Array((height / hs) * across * n * n);
  const labels = new Uint8Array(n);
  for (let top = 0, window = 0; top < height; top += hs) {
    for (let left = 0; left < width; left += ws, window++) {
      for (let t = 0; t < n; t++) labels[t] = 3 * rowBand[top + Math.floor(t / ws)]! + columnBand[left + (t % ws)]!;
      for (let p = 0; p < n; p++) {
        const row = (window * n + p) * n;
        for (let q = 0; q < n; q++) if (labels[p] !== labels[q]) mask[row + q] = MASKED;
      }
    }
  }
  return mask;
}
