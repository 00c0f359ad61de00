import { type FileTensor, readParts, safetensorsHeader } from "@deplsr/tensor";
import type { Sink } from "./zip-writer.ts";

/**
 * Writes tensors that are still in their file as a safetensors file, a few megabytes at a time.
 *
 * @throws Error when a name is taken
 */
export async function writeSafetensorsFile(
  tensors: ReadonlyMap<string, FileTensor>,
  sink: Sink,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { header, order } = safetensorsHeader(tensors, metadata);
  await sink.write(header);
  for (const [, tensor] of order) for await (const [, { bytes }] of readParts(tensor)) await sink.write(bytes);
}
