/**
 * Writes a file of weights of a CLIP of any size, for measuring what reading it takes; it is never whole in memory.
 *
 *     npx tsx --conditions @deplsr/source scripts/make-weights.ts ViT-B-32 /tmp/clip.pth [F16]
 *
 * Element i of tensor t is `value(t, i)`: uniform in ±0.02, and the same on every machine.
 */
import { open } from "node:fs/promises";
import { CLIP_PRESETS, clipShapes } from "@deplsr/clip";
import { asHalf, writeSafetensorsFile, writeTorchFile } from "@deplsr/nn";
import type { FileTensor } from "@deplsr/tensor";

/** A number that depends on nothing but its place. */
function value(tensor: number, index: number): number {
  return ((Math.imul(index + 1, 2654435761) ^ Math.imul(tensor + 1, 40503)) >>> 0) * (0.04 / 2 ** 32) - 0.02;
}

const [model = "", path = "", dtype = "F32"] = process.argv.slice(2);
const config = CLIP_PRESETS.get(model);
if (!config || !/\.(pth|safetensors)$/.test(path) || !/^F(16|32)$/.test(dtype)) {
  throw new Error(`usage: make-weights.ts ${[...CLIP_PRESETS.keys()].join("|")} FILE.pth|FILE.safetensors [F32|F16]`);
}
const tensors = new Map<string, FileTensor>();
for (const [name, shape] of clipShapes(config)) {
  const tensor = tensors.size;
  const read = async (first: number, count: number): Promise<Uint8Array> => {
    const values = new Float32Array(count);
    for (let i = 0; i < count; i++) values[i] = value(tensor, first + i);
    return new Uint8Array(values.buffer);
  };
  const full: FileTensor = { name, dtype: "F32", shape, read };
  tensors.set(name, dtype === "F16" ? asHalf(full, () => {}) : full);
}
const file = await open(path, "w");
try {
  const sink = { write: (part: Uint8Array) => file.writeFile(part) };
  if (path.endsWith(".pth")) await writeTorchFile(tensors, sink);
  else await writeSafetensorsFile(tensors, sink, { format: "pt" });
} finally {
  await file.close();
}
