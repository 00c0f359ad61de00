/**
 * The inputs and weights for which the specification states results of the reference, as formulas.
 */
import { clipConfig } from "@deplsr/clip";
import { loadTensors, type Module } from "@deplsr/nn";
import type { Device, Tensor } from "@deplsr/tensor";
import { type SrCLIPV2Config, srclipConfig } from "../src/srclip-config.ts";

/** Weights from a linear congruential generator, one sequence for each parameter in the order of `parameters()`. */
export function fill(module: Module): void {
  const parameters = module.parameters();
  const entries = new Map<string, Tensor>();
  for (const [t, [name, { device, shape, size, rank }]] of [...parameters].entries()) {
    const gain = rank >= 2 && !name.endsWith("temperature") ? Math.sqrt(3 / (size / shape[0]!)) : 0.1;
    const offset = name.endsWith("temperature") || (rank === 1 && name.endsWith(".weight")) ? 1 : 0;
    const values = new Float32Array(size);
    let state = Math.imul(t + 1, 2654435761) >>> 0;
    for (let i = 0; i < size; i++) {
      state = (Math.imul(1664525, state) + 1013904223) >>> 0;
      values[i] = (2 * (state / 2 ** 32) - 1) * gain + offset;
    }
    entries.set(name, device.tensor(values, shape));
  }
  loadTensors("fill", parameters, entries);
}

/** Images (b, c, h, w): 0.5 + 0.5·sin(0.3j + 0.2i + c + b)·cos(0.15j − 0.25i). */
export function waves(device: Device, shape: readonly [number, number, number, number]): Tensor {
  const [b, c, h, w] = shape;
  return formula(device, [b * c, h, w], (plane, i, j) => {
    const phase = 0.3 * j + 0.2 * i + (plane % c) + Math.floor(plane / c);
    return 0.5 + 0.5 * Math.sin(phase) * Math.cos(0.15 * j - 0.25 * i);
  }).reshape(shape);
}

/** A tensor whose values follow from their three indices. */
export function formula(
  device: Device,
  shape: readonly [number, number, number],
  value: (a: number, b: number, c: number) => number,
): Tensor {
  const [na, nb, nc] = shape;
  const values = new Float32Array(na * nb * nc);
  for (let at = 0; at < values.length; at++) {
    values[at] = value(Math.floor(at / (nb * nc)), Math.floor(at / nc) % nb, at % nc);
  }
  return device.tensor(values, shape);
}

/** Sum, sum of magnitudes, Euclidean norm and first values of a tensor. */
export interface Digest {
  readonly sum: number;
  readonly magnitude: number;
  readonly norm: number;
  readonly first: readonly number[];
  readonly last: number;
}

/** Reads a tensor and sums it up in double precision. */
export async function digest(x: Tensor): Promise<Digest> {
  const values = await x.data();
  let sum = 0;
  let magnitude = 0;
  let squares = 0;
  for (const value of values) {
    sum += value;
    magnitude += Math.abs(value);
    squares += value * value;
  }
  return { sum, magnitude, norm: Math.sqrt(squares), first: [...values.slice(0, 4)], last: values.at(-1) ?? 0 };
}

/** The small SrCLIPV2 of the specification's list of checks, G3 and G4. */
export const TINY: SrCLIPV2Config = srclipConfig(
  clipConfig({
    embedDim: 16,
    vision: { imageSize: 32, patchSize: 8, width: 32, layers: 3, headWidth: 16 },
    text: { contextLength: 16, vocabSize: 100, width: 24, heads: 2, layers: 2 },
  }),
  { loss: "clip" },
);

/** Token ids of text b: 98, then (7b + 3i) % 90 + 1, then 99 at 5 + 2b, zeros to 16. */
export function textIds(b: number): number[] {
  const end = 5 + 2 * b;
  return Array.from({ length: 16 }, (_, i) =>
    i === 0 ? 98 : i < end ? ((7 * b + 3 * i) % 90) + 1 : i === end ? 99 : 0,
  );
}
