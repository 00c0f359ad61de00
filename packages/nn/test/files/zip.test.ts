import { deflateRawSync } from "node:zlib";
import { bytesSource, type Source } from "@deplsr/tensor";
import { describe, expect, it } from "vitest";
import { crc32 } from "../../src/files/crc32.ts";
import { ZipArchive } from "../../src/files/zip.ts";
import { ZipWriter } from "../../src/files/zip-writer.ts";
import { archive, bytes, MemorySink, u32 } from "./build.ts";

const u16 = (value: number): Uint8Array => new Uint8Array(Uint16Array.of(value).buffer);
const u64 = (value: number): Uint8Array => new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);

/** An entry as the directory tells it. */
interface Told {
  readonly name?: string;
  readonly method?: number;
  readonly flags?: number;
  readonly size: number;
  readonly compressed?: number;
  readonly offset?: number;
  readonly extra?: Uint8Array;
}

function told({ name = "a", method = 0, flags = 0, size, compressed = size, offset = 0, extra }: Told): Uint8Array {
  const more = extra ?? new Uint8Array();
  const lengths = [name.length, more.length, 0, 0, 0].map(u16);
  const start = bytes("PK\x01\x02", ...[20, 20, flags, method, 0, 0].map(u16));
  return bytes(start, ...[0, compressed, size].map(u32), ...lengths, u32(0), u32(offset), name, more);
}

const header = (name = "a"): Uint8Array => bytes("PK\x03\x04", new Uint8Array(22), u16(name.length), u16(0), name);

function end(count: number, size: number, offset: number): Uint8Array {
  return bytes("PK\x05\x06", ...[0, 0, count, count].map(u16), u32(size), u32(offset), u16(0));
}

/** An archive of one entry whose directory may tell anything. */
function zip(content: Uint8Array, entry: Told): Uint8Array {
  const before = bytes(header(), content);
  const directory = told(entry);
  return bytes(before, directory, end(1, directory.length, before.length));
}

async function contents(file: Uint8Array | Source, name = "a"): Promise<Uint8Array> {
  const opened = await ZipArchive.open(file instanceof Uint8Array ? bytesSource(file) : file);
  const { size, read } = await opened.contents(opened.entries.get(name)!);
  return read(0, size);
}

const CONTENT = new TextEncoder().encode("a few words, a few words, and a few words more");

describe("ZipArchive", () => {
  it("reads stored and deflated entries", async () => {
    expect(await contents(zip(CONTENT, { size: CONTENT.length }))).toEqual(CONTENT);
    const deflated = deflateRawSync(CONTENT);
    const entry = { method: 8, size: CONTENT.length, compressed: deflated.length };
    expect(await contents(zip(deflated, entry))).toEqual(CONTENT);
    expect((await ZipArchive.open(bytesSource(end(0, 0, 0)))).entries.size).toBe(0);
  });

  it("reads the 64-bit records of large archives, an entry beyond 4 GiB too", async () => {
    const place = 5 * 2 ** 30;
    const entry = told({
      size: 0xffffffff,
      compressed: 0xffffffff,
      offset: 0xffffffff,
      extra: bytes(u16(0x7075), u16(2), "xy", u16(1), u16(24), ...[CONTENT.length, CONTENT.length, place].map(u64)),
    });
    const start = bytes(header(), CONTENT, entry);
    const far = place + start.length;
    const tail = bytes(
      start,
      ...["PK\x06\x06", u64(44), u16(45), u16(45), u32(0), u32(0), u64(1), u64(1), u64(entry.length)],
      ...[u64(far - entry.length), "PK\x06\x07", u32(0), u64(far), u32(1)],
      end(0xffff, -1, -1),
    );
    // Before it, five gibibytes of nothing.
    const source: Source = {
      size: place + tail.length,
      read: async (offset, length) => {
        const result = new Uint8Array(length);
        const from = Math.max(0, place - offset);
        result.set(tail.subarray(offset + from - place, offset + length - place), from);
        return result;
      },
    };
    expect(await contents(source)).toEqual(CONTENT);
  });

  const deflated = deflateRawSync(CONTENT);
  const bomb = deflateRawSync(new Uint8Array(50_000_000));
  it.each<[string, Uint8Array, string]>([
    ["a cut off archive", zip(CONTENT, { size: 46 }).subarray(0, -1), "the record that ends an archive is missing"],
    ["nothing but the mark", bytes("PK\x03\x04"), "the record that ends an archive is missing"],
    ["a directory beyond the end", end(1, 60, 0), "zip: the directory is said to lie at byte 0 to 60"],
    ["a directory of other bytes", bytes(new Uint8Array(60), end(1, 60, 0)), "the directory is damaged"],
    ["a directory that is too large", end(1, 2 ** 30, 0), "the directory of 1073741824 bytes is too large"],
    ["another number of entries", bytes(told({ size: 0 }), end(2, 47, 0)), "holds 1 entries instead of 2"],
    ["one name twice", bytes(told({ size: 0 }), told({ size: 0 }), end(2, 94, 0)), 'two entries are named "a"'],
    ["an encrypted entry", bytes(told({ size: 0, flags: 1 }), end(1, 47, 0)), 'entry "a" is encrypted'],
    ["another compression", bytes(told({ size: 0, method: 12 }), end(1, 47, 0)), "compressed by method 12"],
    ["two sizes of a stored entry", bytes(told({ size: 9, compressed: 3 }), end(1, 47, 0)), "but of two sizes"],
    ["64-bit sizes that are not there", bytes(told({ size: 0xffffffff }), end(1, 47, 0)), "lacks its 64-bit sizes"],
    ["a 64-bit end that is not there", bytes(new Uint8Array(20), end(0xffff, 0, 0)), "the 64-bit locator is missing"],
    ["an entry beyond the end", zip(CONTENT, { size: 4600 }), 'entry "a" ends at byte 4631, beyond the end'],
    ["an entry elsewhere", zip(CONTENT, { size: 4, offset: 2 }), 'there is no entry "a" where it should be'],
    ["an entry far beyond the end", zip(CONTENT, { size: 4, offset: 1e9 }), "is said to lie at byte 1000000000"],
    [
      "a deflated entry that is larger than it says",
      zip(bomb, { method: 8, size: 1000, compressed: bomb.length }),
      "inflates to other than the 1000 bytes",
    ],
    [
      "one that is smaller",
      zip(deflated, { method: 8, size: 200, compressed: deflated.length }),
      "inflates to other than the 200 bytes",
    ],
    [
      "one that says that it is enormous",
      zip(deflated, { method: 8, size: 3e9, compressed: deflated.length }),
      "inflates to 3000000000 bytes, over 268435456",
    ],
    ["one that is not deflated", zip(CONTENT, { method: 8, size: 46 }), "does not inflate: the file is damaged"],
  ])("refuses %s", async (_, file, message) => {
    const error = await contents(file).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ name: "FileFormatError", message: expect.stringContaining(message) });
  });

  it("does not inflate more than an entry claims", async () => {
    const before = process.memoryUsage().arrayBuffers;
    const file = zip(bomb, { method: 8, size: 1000, compressed: bomb.length });
    await expect(contents(file)).rejects.toThrow("inflates to other than");
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10_000_000);
  });
});

describe("ZipWriter", () => {
  it("aligns contents to 64 bytes and checks their sizes", async () => {
    const file = await archive({ "x/data.pkl": CONTENT, "x/data/0": new Uint8Array(100).fill(7), "x/ü": CONTENT });
    const opened = await ZipArchive.open(bytesSource(file));
    expect([...opened.entries.keys()]).toEqual(["x/data.pkl", "x/data/0", "x/ü"]);
    for (const entry of opened.entries.values()) {
      const content = await (await opened.contents(entry)).read(0, entry.size);
      expect(content.byteOffset % 64).toBe(0);
      expect(entry.deflated).toBe(false);
    }
    const writer = new ZipWriter({ write: async () => {} });
    await expect(writer.add("a", 5, [CONTENT])).rejects.toThrow("zip: a has 46 bytes instead of 5");
  });

  it("writes 64-bit records that are read again, for large entries and far ones", async () => {
    for (const wideFrom of [40, 200, 500]) {
      const sink = new MemorySink();
      const writer = new ZipWriter(sink, wideFrom);
      await writer.add("a", CONTENT.length, [CONTENT.subarray(0, 5), CONTENT.subarray(5)]);
      await writer.add("b", 3, [Uint8Array.of(1, 2, 3)]);
      await writer.finish();
      const file = sink.bytes();
      expect(String.fromCharCode(...file).includes("PK\x06\x07")).toBe(wideFrom < 500);
      expect(await contents(file)).toEqual(CONTENT);
      expect(await contents(file, "b")).toEqual(Uint8Array.of(1, 2, 3));
    }
  });
});

describe("crc32", () => {
  it("is the checksum of the standard, of any length, place and in parts", () => {
    expect(crc32(new TextEncoder().encode("123456789"))).toBe(0xcbf43926);
    expect(crc32(new Uint8Array())).toBe(0);
    const all = Uint8Array.from({ length: 1000 }, (_, i) => (i * 37) % 251);
    // Bit by bit, from the definition.
    const reference = (input: Uint8Array): number => {
      let crc = 0xffffffff;
      for (const byte of input) {
        crc ^= byte;
        for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
      }
      return ~crc >>> 0;
    };
    for (const [from, to] of [
      [0, 1000],
      [3, 998],
      [1, 8],
    ] as const) {
      expect(crc32(all.subarray(from, to))).toBe(reference(all.subarray(from, to)));
    }
    expect(crc32(all.subarray(13), crc32(all.subarray(0, 13)))).toBe(reference(all));
  });
});
