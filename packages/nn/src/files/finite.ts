import {
  FileFormatError,
  type FileTensor,
  isStoredFloat,
  type StoredDType,
  storedBytes,
  storedTensor,
} from "@deplsr/tensor";

/** Weights that are NaN or infinite: a training that went wrong. */
export class NotFiniteError extends FileFormatError {}

/** So many names stand in a message. */
const MOST_NAMED = 5;

/** The same tensor, which tells when values that are read of it are NaN or infinite. */
export function watchFinite(tensor: FileTensor, found: () => void): FileTensor {
  const { name, dtype, read } = tensor;
  if (tensor.unreadable !== undefined || !isStoredFloat(dtype)) return tensor;
  const watchedRead = async (first: number, count: number): Promise<Uint8Array> => {
    const bytes = await read(first, count);
    if (!allFinite(dtype, bytes, () => storedTensor(dtype, [count], bytes, name).toFloat32())) found();
    return bytes;
  };
  return { ...tensor, read: watchedRead };
}

/** The bits of the exponent in the last byte of a number and in the one before: all are set in NaN and the infinities. */
const EXPONENTS: Partial<Record<StoredDType, readonly [last: number, before: number]>> = {
  F16: [0x7c, 0],
  BF16: [0x7f, 0x80],
  F32: [0x7f, 0x80],
};

/** Whether none is NaN or infinite. @param values the same as f32, of types that no models are made of */
function allFinite(dtype: StoredDType, bytes: Uint8Array, values: () => Float32Array): boolean {
  const exponent = EXPONENTS[dtype];
  if (!exponent) return values().every(Number.isFinite);
  const [last, before] = exponent;
  const width = storedBytes(dtype);
  for (let i = width - 1; i < bytes.length; i += width) {
    if ((bytes[i]! & last) === last && (bytes[i - 1]! & before) === before) return false;
  }
  return true;
}

/** The error that names the tensors. */
export function notFinite(names: readonly string[]): NotFiniteError {
  const what = names.length === 1 ? "1 tensor holds" : `${names.length} tensors hold`;
  const more = names.length > MOST_NAMED ? ` and ${names.length - MOST_NAMED} more` : "";
  return new NotFiniteError(`${what} values that are no numbers: ${names.slice(0, MOST_NAMED).join(", ")}${more}`);
}
