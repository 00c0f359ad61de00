import { readFileSync } from "node:fs";
import { readSafetensors, type StoredTensor, storedTensor } from "@deplsr/tensor";
import type { Image } from "../../src/index.ts";

/** Results of the reference implementation, for weights that a rule makes. */
export interface Golden {
  /** Images by name. */
  readonly image: (name: string) => Image;
  /** Stored results by name. */
  readonly values: (name: string) => Float64Array;
  /** Makes the weights. */
  readonly weights: () => Map<string, StoredTensor>;
}

/** Reads a file of the shared folder `golden/metrics_learned`. */
export function golden(file: string): Golden {
  const path = new URL(`../../../../../shared/golden/metrics_learned/${file}.safetensors`, import.meta.url);
  const { tensors, metadata } = readSafetensors(readFileSync(path));
  const { weights } = JSON.parse(metadata.config ?? "{}");
  const generated = (): Map<string, StoredTensor> => {
    const rows: [string, number[], number, number][] = weights.tensors;
    const entries = rows.map(([name, shape, a, b], n) => {
      const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
      let state = Math.imul(weights.first_t + n + 1, 2654435761) >>> 0;
      for (let i = 0; i < values.length; i++) {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        values[i] = b + a * ((2 * state) / 2 ** 32 - 1);
      }
      return [name, storedTensor("F32", shape, new Uint8Array(values.buffer), name)] as const;
    });
    return new Map(entries);
  };
  return {
    image: (name) => {
      const { shape, bytes } = tensors.get(name)!;
      return { height: shape[0]!, width: shape[1]!, data: bytes };
    },
    values: (name) => tensors.get(name)!.toFloat64(),
    weights: generated,
  };
}
