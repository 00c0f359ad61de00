/** The small model, inputs and weights for which the specification states results of the reference. */

import { loadTensors, type Module } from "@deplsr/nn";
import type { Device, Tensor } from "@deplsr/tensor";
import { clipConfig, LOGIT_SCALE_START } from "../src/index.ts";

/** The model of check G3. */
export const TINY = clipConfig({
  embedDim: 16,
  vision: { imageSize: 32, patchSize: 8, width: 32, layers: 3, headWidth: 16 },
  text: { contextLength: 16, vocabSize: 100, width: 24, heads: 2, layers: 2 },
});

/** Weights from a linear congruential generator, one sequence for each parameter in the order of `parameters()`. */
export function fill(module: Module): void {
  const parameters = module.parameters();
  const entries = new Map<string, Tensor>();
  for (const [t, [name, { device, shape, size, rank }]] of [...parameters].entries()) {
    const gain = rank >= 2 ? Math.sqrt(3 / (size / shape[0]!)) : 0.1;
    const offset = rank === 1 && name.endsWith(".weight") ? 1 : 0;
    const values = new Float32Array(size);
    let state = Math.imul(t + 1, 2654435761) >>> 0;
    for (let i = 0; i < size; i++) {
      state = (Math.imul(1664525, state) + 1013904223) >>> 0;
      values[i] = (2 * (state / 2 ** 32) - 1) * gain + offset;
    }
    if (name.endsWith("logit_scale")) values.fill(LOGIT_SCALE_START);
    entries.set(name, device.tensor(values, shape));
  }
  loadTensors("fill", parameters, entries);
}

/** Images (b, 3, 32, 32): 0.5 + 0.5·sin(0.3j + 0.2i + c + b)·cos(0.15j − 0.25i). */
export function waves(device: Device, b: number): Tensor {
  const values = new Float32Array(b * 3 * 32 * 32);
  for (let at = 0; at < values.length; at++) {
    const [j, i, plane] = [at % 32, Math.floor(at / 32) % 32, Math.floor(at / 1024)];
    const phase = 0.3 * j + 0.2 * i + (plane % 3) + Math.floor(plane / 3);
    values[at] = 0.5 + 0.5 * Math.sin(phase) * Math.cos(0.15 * j - 0.25 * i);
  }
  return device.tensor(values, [b, 3, 32, 32]);
}

/** Token ids of text b: 98, then (7b + 3i) % 90 + 1, then 99 at 5 + 2b, zeros to 16. */
export function tokens(b: number): number[] {
  const end = 5 + 2 * b;
  return Array.from({ length: 16 }, (_, i) => {
    if (i === 0) return 98;
    if (i < end) return ((7 * b + 3 * i) % 90) + 1;
    return i === end ? 99 : 0;
  });
}

/** Sum, sum of magnitudes, and first values of a tensor, in double precision. */
export async function digest(x: Tensor): Promise<{ sum: number; magnitude: number; norm: number; first: number[] }> {
  const values = Array.from(await x.data());
  const total = (f: (value: number) => number): number => values.reduce((sum, value) => sum + f(value), 0);
  return {
    sum: total((v) => v),
    magnitude: total(Math.abs),
    norm: Math.sqrt(total((v) => v * v)),
    first: values.slice(0, 4),
  };
}
