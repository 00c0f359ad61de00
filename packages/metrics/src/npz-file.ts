import { ZipArchive } from "@deplsr/nn";
import { bytesSource, FileFormatError, quoted } from "@deplsr/tensor";

/**
 * The numbers of NumPy's `.npz` file: its arrays of f32 and f64 in row-major order, by name. Nothing is unpickled.
 *
 * @throws FileFormatError for another kind of file, one that is cut off or damaged, or an array of something else
 * @see https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
export async function readNpzFile(bytes: Uint8Array): Promise<Map<string, Float64Array>> {
  const archive = await ZipArchive.open(bytesSource(bytes));
  const arrays = new Map<string, Float64Array>();
  for (const entry of archive.entries.values()) {
    const contents = await archive.contents(entry);
    arrays.set(entry.name.replace(/\.npy$/, ""), numbers(await contents.read(0, contents.size), entry.name));
  }
  return arrays;
}

function numbers(bytes: Uint8Array, name: string): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = (from: number, end: number): string => new TextDecoder("latin1").decode(bytes.subarray(from, end));
  const version = text(1, 6) === "NUMPY" ? bytes[6] : 0;
  const wide = version === 1 ? 0 : 2; // version 1 counts the header's bytes in 16 bits, later ones in 32
  if (!version || bytes.length < 10 + wide) throw new FileFormatError(`npz: ${quoted(name)} is no NumPy array`);
  const start = 10 + wide + (wide ? view.getUint32(8, true) : view.getUint16(8, true));
  const [, size] = /'descr': '<f([48])', 'fortran_order': False,/.exec(text(10 + wide, start)) ?? [];
  if (!size) throw new FileFormatError(`npz: ${quoted(name)} is no row-major array of f32 or f64`);
  const width = Number(size);
  return Float64Array.from({ length: Math.floor((bytes.length - start) / width) }, (_, i) =>
    width === 4 ? view.getFloat32(start + 4 * i, true) : view.getFloat64(start + 8 * i, true),
  );
}
