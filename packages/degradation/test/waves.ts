import type { Device, Tensor } from "@deplsr/tensor";

/** The test image T32 of spec/checks.md, in f32: `0.5 + 0.5·sin(0.3j + 0.2i + c + b)·cos(0.15j − 0.25i)`, (b, 3, h, w). */
export function waves(b: number, h: number, w: number): Float32Array {
  return Float32Array.from({ length: b * 3 * h * w }, (_, index) => {
    const j = index % w;
    const i = Math.floor(index / w) % h;
    const c = Math.floor(index / (w * h)) % 3;
    const n = Math.floor(index / (w * h * 3));
    return 0.5 + 0.5 * Math.sin(0.3 * j + 0.2 * i + c + n) * Math.cos(0.15 * j - 0.25 * i);
  });
}

export function waveTensor(device: Device, b: number, h: number, w: number): Tensor {
  return device.tensor(waves(b, h, w), [b, 3, h, w]);
}

/** Sum of all values and those at [channel, row, column] of the first image. */
export async function probe(image: Tensor, ...positions: readonly [number, number, number][]): Promise<number[]> {
  const data = (await image.data()) as Float32Array;
  const [, , h = 0, w = 0] = image.shape;
  const at = positions.map(([c, i, j]) => data[(c * h + i) * w + j]!);
  return [data.reduce((sum, value) => sum + value, 0), ...at];
}

/** Throws unless each value is within its own tolerance. */
export function expectWithin(
  actual: readonly number[],
  expected: readonly number[],
  tolerances: readonly number[],
): void {
  expected.forEach((value, i) => {
    const error = Math.abs(actual[i]! - value);
    if (!(error <= tolerances[i]!))
      throw new Error(`value ${i}: ${actual[i]} instead of ${value}, beyond ${tolerances[i]}`);
  });
}
