import { FileFormatError } from "@deplsr/tensor";

/**
 * The numbers of a MATLAB file of version 5 to 7: full numeric arrays by name, column by column. What is of another kind (text, cells,
 * structures, sparse or complex arrays) is passed over.
 *
 * @throws FileFormatError for another kind of file, one that is cut off or damaged, or one of version 7.3, which is another format
 * @see https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf
 */
export async function readMatFile(bytes: Uint8Array): Promise<Map<string, Float64Array>> {
  const header = new TextDecoder("latin1").decode(bytes.subarray(0, HEADER_BYTES));
  if (header.startsWith("MATLAB 7.3")) fail('it is of version 7.3: save it in MATLAB with save(..., "-v7")');
  const endian = header.slice(126);
  if (!header.startsWith("MATLAB 5.0") || (endian !== "IM" && endian !== "MI"))
    fail("its header is not one of version 5");
  const little = endian === "IM";
  const arrays = new Map<string, Float64Array>();
  for (const element of elements(bytes.subarray(HEADER_BYTES), little)) {
    const inflated = element.type === COMPRESSED ? [...elements(await inflate(element.data), little)] : [element];
    for (const { type, data } of inflated) {
      const array = type === MATRIX ? numericArray([...elements(data, little)], little) : undefined;
      if (array) arrays.set(array.name, array.values);
    }
  }
  return arrays;
}

const HEADER_BYTES = 128;
const MATRIX = 14;
const COMPRESSED = 15;
/** Bytes of an inflated array: a file of statistics has some thousand. */
const MOST_BYTES = 16 * 2 ** 20;

type Reader = (view: DataView, at: number, little: boolean) => number;

/** How the numbers of an element are stored, by its type: bytes of each, and how it is read. */
const NUMBERS: Readonly<Record<number, readonly [bytes: number, read: Reader]>> = {
  1: [1, (view, at) => view.getInt8(at)],
  2: [1, (view, at) => view.getUint8(at)],
  3: [2, (view, at, little) => view.getInt16(at, little)],
  4: [2, (view, at, little) => view.getUint16(at, little)],
  5: [4, (view, at, little) => view.getInt32(at, little)],
  6: [4, (view, at, little) => view.getUint32(at, little)],
  7: [4, (view, at, little) => view.getFloat32(at, little)],
  9: [8, (view, at, little) => view.getFloat64(at, little)],
};

interface Element {
  readonly type: number;
  readonly data: Uint8Array;
}

/** Elements that follow each other: type, size, data, and padding to 8 bytes unless compressed. Small ones keep their data in the size's place. */
function* elements(bytes: Uint8Array, little: boolean): Generator<Element> {
  const view = viewOf(bytes);
  for (let at = 0; at < bytes.length; ) {
    if (at + 8 > bytes.length) fail("it is cut off");
    const first = view.getUint32(at, little);
    const small = first > 0xffff;
    const type = first & 0xffff;
    const size = small ? first >>> 16 : view.getUint32(at + 4, little);
    const start = at + (small ? 4 : 8);
    if (small ? size > 4 : start + size > bytes.length) fail("it is cut off or damaged");
    yield { type, data: bytes.subarray(start, start + size) };
    at = small ? at + 8 : start + (type === COMPRESSED ? size : 8 * Math.ceil(size / 8));
  }
}

/** The parts of an array are its flags, its sizes, its name, and the values in whatever type is short. */
function numericArray(
  [flags, , name, values]: readonly Element[],
  little: boolean,
): { readonly name: string; readonly values: Float64Array } | undefined {
  if (!flags || flags.data.length < 8 || !name) fail("an array has no description");
  const description = viewOf(flags.data).getUint32(0, little);
  const kind = description & 0xff; // 6 to 15: full numeric arrays, from double to uint64
  const complex = (description & 0x800) !== 0;
  const stored = values && NUMBERS[values.type];
  if (kind < 6 || kind > 15 || complex || !stored) return undefined;
  const [bytes, read] = stored;
  const view = viewOf(values.data);
  const length = Math.floor(values.data.length / bytes);
  return {
    name: new TextDecoder("latin1").decode(name.data),
    values: Float64Array.from({ length }, (_, i) => read(view, i * bytes, little)),
  };
}

async function inflate(compressed: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([compressed as Uint8Array<ArrayBuffer>]).stream();
  const reader = stream.pipeThrough(new DecompressionStream("deflate")).getReader();
  const parts: Uint8Array[] = [];
  let size = 0;
  try {
    for (let part = await reader.read(); !part.done && size <= MOST_BYTES; part = await reader.read()) {
      parts.push(part.value);
      size += part.value.length;
    }
  } catch {
    fail("an array does not inflate: it is damaged");
  } finally {
    await reader.cancel().catch(() => undefined);
  }
  if (size > MOST_BYTES) fail(`an array inflates to more than ${MOST_BYTES} bytes`);
  return new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer());
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function fail(problem: string): never {
  throw new FileFormatError(`MAT file: ${problem}`);
}
