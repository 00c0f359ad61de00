/** Weights that a fixture describes instead of storing them. */
import { type StoredTensor, storedTensor } from "@deplsr/tensor";
import type { Attributes } from "../attributes.ts";

/**
 * The state dict of `weights` in a fixture's configuration. Element i of tensor n is `b + a·(2·u − 1)`, where u are the numbers of a linear
 * congruential generator that starts from `first_t + n`. The first values and the sum of some tensors, `weights_check`, are compared.
 */
export function generatedWeights(config: Attributes): ReadonlyMap<string, StoredTensor> {
  const weights = config.object("weights");
  const first = weights.number("first_t");
  const rows = weights.raw("tensors");
  if (!Array.isArray(rows)) throw new Error(`${weights.where}.tensors is not a list`);
  const entries = rows.map((row: unknown, n) => weightRow(row, first + n, `${weights.where}.tensors[${n}]`));
  weights.finish();
  const state = new Map(entries);
  if (!config.has("weights_check")) return state;
  const checks = config.object("weights_check");
  for (const name of checks.names()) checkValues(name, state.get(name), checks.numbers(name));
  return state;
}

function weightRow(row: unknown, t: number, where: string): readonly [string, StoredTensor] {
  const [name, shape, a, b] = Array.isArray(row) ? row : [];
  const isShape = (value: unknown): value is number[] => Array.isArray(value) && value.every(Number.isInteger);
  if (typeof name !== "string" || !isShape(shape) || typeof a !== "number" || typeof b !== "number") {
    throw new Error(`${where} is not [name, shape, a, b]`);
  }
  return [name, generated(name, shape, t, a, b)];
}

function generated(name: string, shape: readonly number[], t: number, a: number, b: number): StoredTensor {
  const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
  let state = Math.imul(t + 1, 2654435761) >>> 0;
  for (let i = 0; i < values.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = b + a * ((2 * state) / 2 ** 32 - 1);
  }
  return storedTensor("F32", shape, new Uint8Array(values.buffer), name);
}

/** `expected` holds the first values (up to three) and the sum. */
function checkValues(name: string, tensor: StoredTensor | undefined, expected: readonly number[]): void {
  const values = tensor?.toFloat32() ?? new Float32Array();
  const sum = values.reduce((total, value) => total + value, 0);
  const made = [...values.subarray(0, expected.length - 1), sum];
  const tolerance = (i: number): number => (i === made.length - 1 ? 1e-9 * values.length : 1e-7);
  if (made.length !== expected.length || made.some((value, i) => Math.abs(value - expected[i]!) > tolerance(i))) {
    throw new Error(`weights_check: ${name} is ${made.join(", ")} instead of ${expected.join(", ")}`);
  }
}
