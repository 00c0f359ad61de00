/** What the reference's checkpoints of a super-resolution network hold beside ours: tables that follow from the configuration. */
import {
  type DATConfig,
  datState,
  paddedSize,
  relativeOffsets,
  relativePositionIndex,
  type Size,
  shiftMask,
} from "@deplsr/dat";
import { type FileTensor, storedBytes, storedEntry } from "@deplsr/tensor";
import { type SrDescription, srConfig } from "../networks/sr.ts";

/** `tensors` and the tables that they lack, so that the reference loads them strictly, and that they tell the shape of the windows. */
export function withDerived(
  tensors: ReadonlyMap<string, FileTensor>,
  { network }: SrDescription,
): Map<string, FileTensor> {
  const { config } = srConfig(network);
  const all = new Map(tensors);
  for (const { name, shape, role, integer } of datState(config)) {
    if (role !== "derived" || all.has(name)) continue;
    const dtype = integer ? "I64" : "F32";
    const read = async (first: number, count: number): Promise<Uint8Array> => {
      const values = tableValues(name, config);
      const { bytes } = storedEntry(values instanceof Int32Array ? BigInt64Array.from(values, BigInt) : values, shape);
      return bytes.subarray(first * storedBytes(dtype), (first + count) * storedBytes(dtype));
    };
    all.set(name, { name, dtype, shape, read });
  }
  return all;
}

function tableValues(name: string, { splitSize, imgSize }: DATConfig): Float32Array | Int32Array {
  const [first, second] = splitSize;
  const window: Size = /(?:attns\.|attn_mask_)1/.test(name) ? [second, first] : [first, second];
  if (name.endsWith("rpe_biases")) return relativeOffsets(window);
  if (name.endsWith("relative_position_index")) return relativePositionIndex(window);
  return shiftMask(paddedSize([imgSize, imgSize], splitSize), window, [window[0] >> 1, window[1] >> 1]);
}
