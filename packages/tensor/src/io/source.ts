/** A file that cannot be read: cut off, damaged, or of another kind. The message is one line that says what and where. */
export class FileFormatError extends Error {
  override readonly name = "FileFormatError";
}

/** The bytes of a file at any place, read when they are asked for: of memory, of a `Blob`, of a file handle. */
export interface Source {
  /** Bytes in all. */
  readonly size: number;
  /** `length` bytes from `offset` on, which lie within the file: `readRange` checks that. The result is the reader's to keep. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** A file that is in memory; what is read are views of `bytes`. */
export function bytesSource(bytes: Uint8Array): Source {
  return { size: bytes.length, read: async (offset, length) => bytes.subarray(offset, offset + length) };
}

/** A file that a page was given. */
export function blobSource(blob: Blob): Source {
  return {
    size: blob.size,
    read: async (offset, length) => new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer()),
  };
}

/**
 * Reads a part of a file.
 *
 * @param what the part's name in the error message
 * @throws FileFormatError when the file ends before the part does
 */
export async function readRange(source: Source, offset: number, length: number, what: string): Promise<Uint8Array> {
  if (!(offset >= 0 && length >= 0 && offset + length <= source.size)) {
    throw new FileFormatError(
      `${what} is said to lie at byte ${offset} to ${offset + length}, but the file has ${source.size} bytes: it is cut off or damaged`,
    );
  }
  return source.read(offset, length);
}

/** A name out of a file as a message may show it: short, without line breaks and control characters. */
export function quoted(name: string): string {
  return JSON.stringify(name.length > 120 ? `${name.slice(0, 120)}...` : name);
}
