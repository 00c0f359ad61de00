import { crc32 } from "./crc32.ts";

/** Where a file is written, a piece after the other. */
export interface Sink {
  write(bytes: Uint8Array): Promise<void>;
}

interface Written {
  readonly name: Uint8Array;
  readonly size: number;
  readonly crc: number;
  readonly offset: number;
}

/** A checksum that follows the contents, and names in UTF-8. */
const FLAGS = 0x0808;
/** 1 January 1980, so that the same tensors make the same file. */
const DATE = 0x21;
const VERSION = 45;
/** PyTorch maps the contents of entries into memory, aligned to this. */
const ALIGNMENT = 64;
const FULL_16 = 0xffff;
const FULL_32 = 0xffffffff;

/**
 * Writes a zip archive as PyTorch does: entries stored, their contents aligned; 64-bit records where an archive or an entry is large.
 *
 * @see https://github.com/pytorch/pytorch/blob/v1.13.1/caffe2/serialize/inline_container.cc
 */
export class ZipWriter {
  readonly #sink: Sink;
  readonly #wideFrom: number;
  readonly #entries: Written[] = [];
  #at = 0;

  /** @param wideFrom sizes and places from which on 64-bit records are written: by default those that need them */
  constructor(sink: Sink, wideFrom = FULL_32) {
    this.#sink = sink;
    this.#wideFrom = wideFrom;
  }

  /** Writes an entry. @param size bytes of `parts` in all @throws Error when they have another size */
  async add(name: string, size: number, parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
    const encoded = new TextEncoder().encode(name);
    const offset = this.#at;
    // The extra field shows that the sizes after the contents have 64 bits.
    const large = size >= this.#wideFrom;
    const wide = large ? [u16(1), u16(16), u64(0), u64(0)] : [];
    const before = offset + 30 + encoded.length + bytesOf(wide);
    const filler = (2 * ALIGNMENT - 4 - (before % ALIGNMENT)) % ALIGNMENT;
    const padding = [u16(0x4246), u16(filler), new Uint8Array(filler).fill(0x5a)];
    const lengths = [u16(encoded.length), u16(bytesOf(wide) + 4 + filler)];
    await this.#write(
      u32(0x04034b50),
      ...[VERSION, FLAGS, 0, 0, DATE].map(u16),
      ...[0, large ? FULL_32 : 0, large ? FULL_32 : 0].map(u32),
      ...lengths,
      encoded,
      ...wide,
      ...padding,
    );
    const start = this.#at;
    let crc = 0;
    for await (const part of parts) {
      crc = crc32(part, crc);
      await this.#write(part);
    }
    if (this.#at - start !== size) throw new Error(`zip: ${name} has ${this.#at - start} bytes instead of ${size}`);
    const sizes = [size, size].map(large ? u64 : u32);
    await this.#write(u32(0x08074b50), u32(crc), ...sizes);
    this.#entries.push({ name: encoded, size, crc, offset });
  }

  /** Writes the directory, which ends the archive. */
  async finish(): Promise<void> {
    const start = this.#at;
    for (const { name, size, crc, offset } of this.#entries) {
      const far = [size, size, offset].filter((value) => value >= this.#wideFrom);
      const wide = far.length > 0 ? [u16(1), u16(8 * far.length), ...far.map(u64)] : [];
      await this.#write(
        u32(0x02014b50),
        ...[VERSION, VERSION, FLAGS, 0, 0, DATE].map(u16),
        ...[crc, this.#narrow(size), this.#narrow(size)].map(u32),
        ...[name.length, bytesOf(wide), 0, 0, 0].map(u16),
        ...[0, this.#narrow(offset)].map(u32),
        name,
        ...wide,
      );
    }
    const [count, end] = [this.#entries.length, this.#at];
    if (count >= FULL_16 || end >= this.#wideFrom) {
      await this.#write(u32(0x06064b50), u64(44), ...[VERSION, VERSION].map(u16), ...[0, 0].map(u32));
      await this.#write(...[count, count, end - start, start].map(u64));
      await this.#write(u32(0x07064b50), u32(0), u64(end), u32(1));
    }
    await this.#write(u32(0x06054b50), ...[0, 0, Math.min(count, FULL_16), Math.min(count, FULL_16)].map(u16));
    await this.#write(u32(this.#narrow(end - start)), u32(this.#narrow(start)), u16(0));
  }

  /** A number of 32 bits, or the mark that it stands elsewhere. */
  #narrow(value: number): number {
    return value >= this.#wideFrom ? FULL_32 : value;
  }

  async #write(...parts: readonly Uint8Array[]): Promise<void> {
    const [only] = parts;
    const bytes = parts.length === 1 ? only! : joined(parts);
    await this.#sink.write(bytes);
    this.#at += bytes.length;
  }
}

/** Byte arrays one after the other. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(bytesOf(parts));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function bytesOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}

function u16(value: number): Uint8Array {
  return new Uint8Array(Uint16Array.of(value).buffer);
}

function u32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

function u64(value: number): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
}
