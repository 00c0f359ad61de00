import {
  type HostArray,
  readSafetensors,
  type StoredEntry,
  storedEntry,
  type Tensor,
  writeSafetensors,
} from "@deplsr/tensor";
import type { Module } from "./module.ts";
import type { LoadOptions, LoadReport } from "./state-dict.ts";

/** The bytes of a safetensors file with the given tensors; waits for the device. Files are the caller's affair. */
export async function encodeTensors(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<Uint8Array> {
  const entries = await Promise.all(
    Array.from(tensors, async ([name, tensor]) => [name, storedValues(await tensor.data(), tensor.shape)] as const),
  );
  return writeSafetensors(entries, metadata);
}

/** A tensor's values as an entry to write. Integers become 64-bit ones, which is what PyTorch's integer buffers are. */
export function storedValues(values: HostArray, shape: readonly number[]): StoredEntry {
  return storedEntry(values instanceof Int32Array ? BigInt64Array.from(values, BigInt) : values, shape);
}

/** A module's state dict as the bytes of a safetensors file. */
export function encodeCheckpoint(module: Module, metadata: Readonly<Record<string, string>> = {}): Promise<Uint8Array> {
  return encodeTensors(module.stateDict(), metadata);
}

/**
 * Loads the bytes of a safetensors file into a module.
 *
 * @throws StateDictError naming every missing, unexpected and mis-shaped tensor that `options` does not allow.
 */
export function loadCheckpoint(module: Module, bytes: Uint8Array, options: LoadOptions = {}): LoadReport {
  return module.loadStateDict(readSafetensors(bytes).tensors, options);
}
