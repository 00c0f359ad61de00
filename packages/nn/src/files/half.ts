import { type FileTensor, isStoredFloat, storedTensor } from "@deplsr/tensor";

/**
 * A tensor of floats as one of half precision, converted as it is read; others as they are.
 *
 * @param onOverflow told of values beyond 65 504, which become infinite
 */
export function asHalf(tensor: FileTensor, onOverflow: (name: string, count: number) => void): FileTensor {
  const { name, dtype, shape, read } = tensor;
  if (!isStoredFloat(dtype) || dtype === "F16" || tensor.unreadable !== undefined) return tensor;
  return {
    name,
    dtype: "F16",
    shape,
    read: async (first, count) => {
      const values = storedTensor(dtype, [count], await read(first, count), name).toFloat32();
      const halves = storedTensor("F32", [count], new Uint8Array(values.buffer), name).toFloat16();
      const lost = halves.reduce(
        (sum, bits, i) => sum + Number((bits & 0x7fff) === 0x7c00 && Number.isFinite(values[i]!)),
        0,
      );
      if (lost > 0) onOverflow(name, lost);
      return new Uint8Array(halves.buffer);
    },
  };
}
