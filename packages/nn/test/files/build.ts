import { joined, type Sink, ZipWriter } from "../../src/files/zip-writer.ts";

/** Checkpoints made by hand, instruction by instruction: characters are bytes. */

/** Bytes of text (one a character), of numbers, and of byte arrays, one after the other. */
export function bytes(...parts: readonly (string | Uint8Array)[]): Uint8Array {
  return joined(parts.map((part) => (typeof part === "string" ? Uint8Array.from(part, (c) => c.charCodeAt(0)) : part)));
}

/** BINUNICODE. */
export function text(value: string): Uint8Array {
  const encoded = new TextEncoder().encode(value);
  return bytes("X", u32(encoded.length), encoded);
}

/** BININT. */
export function int(value: number): Uint8Array {
  return bytes("J", u32(value));
}

export function u32(value: number): Uint8Array {
  return new Uint8Array(Int32Array.of(value).buffer);
}

/** How a tensor stands in a pickle. */
export interface TensorOps {
  readonly type?: string;
  readonly key?: string;
  /** Elements of the storage. */
  readonly size: number;
  readonly offset?: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  /** What stands at the end of a legacy persistent id. */
  readonly view?: Uint8Array;
  /** What follows the backward hooks: metadata; an element type, for the third of the functions. */
  readonly more?: Uint8Array | string;
  /** The second by default. */
  readonly version?: 2 | 3;
}

/** The instructions that make a tensor. */
export function tensor({
  type = "FloatStorage",
  key = "0",
  size,
  offset = 0,
  shape,
  strides,
  view,
  more = "",
  version = 2,
}: TensorOps): Uint8Array {
  return bytes(
    `ctorch._utils\n_rebuild_tensor_v${version}\n((`,
    text("storage"),
    type.includes("\n") ? `c${type}\n` : `ctorch\n${type}\n`,
    text(key),
    text("cpu"),
    int(size),
    view ?? "",
    "tQ",
    int(offset),
    ...["(", ...shape.map(int), "t(", ...strides.map(int), "t"],
    "\x89)",
    more,
    "tR",
  );
}

/** A pickle of protocol 2 with these instructions. */
export function pickle(...instructions: readonly (string | Uint8Array)[]): Uint8Array {
  return bytes("\x80\x02", ...instructions, ".");
}

/** A dictionary of instructions by name. */
export function dictionary(items: Readonly<Record<string, Uint8Array | string>>): Uint8Array {
  return bytes("}(", ...Object.entries(items).flatMap(([name, value]) => [text(name), value]), "u");
}

/** Everything that is written. */
export class MemorySink implements Sink {
  readonly #parts: Uint8Array[] = [];

  async write(part: Uint8Array): Promise<void> {
    this.#parts.push(part);
  }

  bytes(): Uint8Array {
    return joined(this.#parts);
  }
}

/** An archive of stored entries. */
export async function archive(entries: Readonly<Record<string, Uint8Array>>): Promise<Uint8Array> {
  const sink = new MemorySink();
  const writer = new ZipWriter(sink);
  for (const [name, content] of Object.entries(entries)) await writer.add(name, content.length, [content]);
  await writer.finish();
  return sink.bytes();
}

/** A file of `torch.save`. */
export function torchZip(
  data: Uint8Array,
  storages: Readonly<Record<string, ArrayBufferView>> = {},
  more: Readonly<Record<string, Uint8Array>> = {},
): Promise<Uint8Array> {
  const entries = Object.entries(storages).map(([key, values]) => [`archive/data/${key}`, asBytes(values)] as const);
  return archive({ "archive/data.pkl": data, ...Object.fromEntries(entries), ...more });
}

/** A file of `torch.save` before PyTorch 1.6; storages with their numbers of elements. */
export function legacyFile(
  data: Uint8Array,
  storages: Readonly<Record<string, readonly [number, ArrayBufferView]>> = {},
): Uint8Array {
  const keys = Object.keys(storages);
  return bytes(
    pickle("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"),
    pickle("M\xe9\x03"),
    pickle(dictionary({ protocol_version: "M\xe9\x03", little_endian: "\x88" })),
    data,
    pickle("](", ...keys.map(text), "e"),
    ...Object.values(storages).flatMap(([count, values]) => [
      new Uint8Array(BigInt64Array.of(BigInt(count)).buffer),
      asBytes(values),
    ]),
  );
}

function asBytes(values: ArrayBufferView): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
