import { describe, expect, it } from "vitest";
import { openSafetensors, readSafetensors, writeSafetensors } from "../../src/io/safetensors.ts";
import { bytesSource } from "../../src/io/source.ts";
import { readTensor, type StoredEntry, storedEntry } from "../../src/io/stored.ts";

/** A file from a header and a number of data bytes, without any of the writer's care. */
function file(header: unknown, data: number | Uint8Array = 0): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = typeof data === "number" ? new Uint8Array(data) : data;
  const result = new Uint8Array(8 + text.length + bytes.length);
  new DataView(result.buffer).setBigUint64(0, BigInt(text.length), true);
  result.set(text, 8);
  result.set(bytes, 8 + text.length);
  return result;
}

const tensor = (dtype: string, shape: unknown, begin: number, end: number): unknown => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

const BYTE = (at: number): string => JSON.stringify(tensor("U8", [1], at, at + 1));

/** A file whose header has this length, most of it metadata. */
function longHeader(length: number): Uint8Array {
  const header = (note: string): string => JSON.stringify({ __metadata__: { note }, a: tensor("U8", [1], 0, 1) });
  return file(header("x".repeat(length - header("").length)), Uint8Array.of(7));
}

/** What the bits of a byte mean: an exponent and a mantissa after the sign, as the tables of the specifications read. */
function bitsOf(byte: number, exponentBits: number, bias: number): number {
  const bits = byte.toString(2).padStart(8, "0");
  const exponent = Number.parseInt(bits.slice(1, 1 + exponentBits), 2);
  const mantissa = [...bits.slice(1 + exponentBits)].reduce((sum, bit, i) => sum + Number(bit) / 2 ** (i + 1), 0);
  const magnitude = exponent > 0 ? (1 + mantissa) * 2 ** (exponent - bias) : mantissa * 2 ** (1 - bias);
  return bits.startsWith("1") ? -magnitude : magnitude;
}

const EVERY_BYTE = Uint8Array.from({ length: 256 }, (_, byte) => byte);
const isNaNAt =
  (...bytes: number[]) =>
  (value: (byte: number) => number) =>
  (byte: number) =>
    bytes.includes(byte) ? Number.NaN : value(byte);

describe("readSafetensors", () => {
  it("reads every dtype", () => {
    const bytes = new Uint8Array(64);
    const view = new DataView(bytes.buffer);
    view.setFloat64(0, Math.PI, true);
    view.setBigInt64(8, -5n, true);
    view.setBigUint64(16, 7n, true);
    view.setFloat32(24, -1.5, true);
    view.setInt32(28, -70_000, true);
    view.setUint32(32, 4_000_000_000, true);
    view.setUint16(36, 0x3e00, true); // 1.5 as f16
    view.setUint16(38, 0xc049, true); // -3.140625 as bf16
    view.setInt16(40, -300, true);
    view.setUint16(42, 65_000, true);
    view.setInt8(44, -7);
    view.setUint8(45, 200);
    view.setUint8(46, 1);
    const { tensors } = readSafetensors(
      file(
        {
          f64: tensor("F64", [1], 0, 8),
          i64: tensor("I64", [], 8, 16),
          u64: tensor("U64", [], 16, 24),
          f32: tensor("F32", [1, 1], 24, 28),
          i32: tensor("I32", [1], 28, 32),
          u32: tensor("U32", [1], 32, 36),
          f16: tensor("F16", [1], 36, 38),
          bf16: tensor("BF16", [1], 38, 40),
          i16: tensor("I16", [1], 40, 42),
          u16: tensor("U16", [1], 42, 44),
          i8: tensor("I8", [1], 44, 45),
          u8: tensor("U8", [1], 45, 46),
          bool: tensor("BOOL", [1], 46, 47),
        },
        bytes.subarray(0, 47),
      ),
    );
    const exact = Object.fromEntries([...tensors].map(([name, stored]) => [name, stored.toFloat64()[0]]));
    expect(exact).toEqual({
      f64: Math.PI,
      i64: -5,
      u64: 7,
      f32: -1.5,
      i32: -70_000,
      u32: 4_000_000_000,
      f16: 1.5,
      bf16: -3.140625,
      i16: -300,
      u16: 65_000,
      i8: -7,
      u8: 200,
      bool: 1,
    });
    expect(tensors.get("f64")!.toFloat32()[0]).toBe(Math.fround(Math.PI));
    expect(tensors.get("i64")!.toInt32()).toEqual(Int32Array.of(-5));
    expect(tensors.get("i64")!.shape).toEqual([]);
    expect(() => tensors.get("u32")!.toInt32()).toThrow('tensor "u32" holds 4000000000, beyond 32 bits');
    expect(() => tensors.get("f32")!.toInt32()).toThrow('tensor "f32" is F32, but integers are expected');
    expect(tensors.get("u64")!.toBigInt64()).toEqual(BigInt64Array.of(7n));
    expect(tensors.get("i8")!.toBigInt64()).toEqual(BigInt64Array.of(-7n));
    expect(() => tensors.get("bf16")!.toBigInt64()).toThrow("integers are expected");
    expect([...tensors.get("f64")!.toFloat16(), ...tensors.get("f16")!.toFloat16()]).toEqual([0x4248, 0x3e00]);
  });

  it("refuses 64-bit integers that a number cannot hold", () => {
    const bytes = new Uint8Array(8).fill(0x7f);
    const { tensors } = readSafetensors(file({ a: tensor("I64", [], 0, 8) }, bytes));
    expect(() => tensors.get("a")!.toFloat64()).toThrow("beyond 2^53");
  });

  it.each<[dtype: string, value: (byte: number) => number]>([
    ["F8_E4M3", isNaNAt(0x7f, 0xff)((byte) => bitsOf(byte, 4, 7))],
    [
      "F8_E5M2",
      isNaNAt(
        0x7d,
        0x7e,
        0x7f,
        0xfd,
        0xfe,
        0xff,
      )((byte) => {
        if ((byte & 0x7f) === 0x7c) return byte === 0x7c ? Infinity : -Infinity;
        return bitsOf(byte, 5, 15);
      }),
    ],
    ["F8_E8M0", isNaNAt(0xff)((byte) => 2 ** (byte - 127))],
    ["F8_E4M3FNUZ", isNaNAt(0x80)((byte) => bitsOf(byte, 4, 8))],
    ["F8_E5M2FNUZ", isNaNAt(0x80)((byte) => bitsOf(byte, 5, 16))],
  ])("converts every value of %s exactly", async (dtype, value) => {
    const bytes = file({ a: tensor(dtype, [16, 16], 0, 256) }, EVERY_BYTE);
    const expected = Float32Array.from(EVERY_BYTE, value);
    const { tensors } = await openSafetensors(bytesSource(bytes));
    for (const stored of [readSafetensors(bytes).tensors.get("a")!, await readTensor(tensors.get("a")!)]) {
      expect([stored.dtype, stored.toFloat32(), stored.toFloat64()]).toEqual([
        dtype,
        expected,
        Float64Array.from(expected),
      ]);
      expect(() => stored.toInt32()).toThrow(`tensor "a" is ${dtype}, but integers are expected`);
    }
  });

  it("converts the limits of F8 as the tables of the OCP specification give them", () => {
    const bytes = file(
      { a: tensor("F8_E4M3", [7], 0, 7), b: tensor("F8_E5M2", [7], 7, 14) },
      Uint8Array.of(0x7e, 0xfe, 0x08, 0x07, 0x01, 0x00, 0x80, 0x7b, 0xfb, 0x04, 0x03, 0x01, 0x00, 0x80),
    );
    const { tensors } = readSafetensors(bytes);
    expect([...tensors.get("a")!.toFloat32()]).toEqual([448, -448, 2 ** -6, 0.875 * 2 ** -6, 2 ** -9, 0, -0]);
    expect([...tensors.get("b")!.toFloat32()]).toEqual([57344, -57344, 2 ** -14, 0.75 * 2 ** -14, 2 ** -16, 0, -0]);
    // Half precision holds all of both.
    expect([...tensors.get("a")!.toFloat16()].slice(0, 5)).toEqual([0x5f00, 0xdf00, 0x2400, 0x2300, 0x1800]);
    expect([...tensors.get("b")!.toFloat16()].slice(0, 5)).toEqual([0x7b00, 0xfb00, 0x0400, 0x0300, 0x0100]);
  });

  it("lists what it cannot convert, and reads the rest", async () => {
    const bytes = file(
      {
        f4: tensor("F4", [4], 0, 2),
        f6: tensor("F6_E2M3", [2, 4], 2, 8),
        f6b: tensor("F6_E3M2", [4], 8, 11),
        c64: tensor("C64", [1], 11, 19),
        none: tensor("F4", [0], 19, 19),
        w: tensor("U8", [1], 19, 20),
      },
      20,
    );
    const whole = readSafetensors(bytes);
    const { tensors } = await openSafetensors(bytesSource(bytes));
    for (const found of [whole.tensors, tensors]) {
      expect([...found.entries()].map(([name, { dtype, shape }]) => `${name} ${dtype}[${shape}]`)).toEqual([
        "f4 F4[4]",
        "f6 F6_E2M3[2,4]",
        "f6b F6_E3M2[4]",
        "c64 C64[1]",
        "none F4[0]",
        "w U8[1]",
      ]);
      expect(found.get("w")!.unreadable).toBeUndefined();
    }
    expect((await readTensor(tensors.get("w")!)).toInt32()).toEqual(Int32Array.of(0));
    for (const [name, why] of [
      ["f4", "its elements are F4, parts of bytes: convert it to F16 or F32 with what wrote it"],
      ["f6", "its elements are F6_E2M3, parts of bytes: convert it to F16 or F32 with what wrote it"],
      ["c64", "it holds complex numbers (C64): save their real and imaginary parts as two tensors"],
    ]) {
      const message = `tensor "${name}" cannot be read: ${why}`;
      await expect(readTensor(tensors.get(name!)!)).rejects.toThrow(message);
      const stored = whole.tensors.get(name!)!;
      expect([stored.unreadable, tensors.get(name!)!.unreadable]).toEqual([why, why]);
      for (const convert of [stored.toFloat32, stored.toFloat16, stored.toFloat64, stored.toInt32, stored.toBigInt64]) {
        expect(convert).toThrow(message);
      }
    }
  });

  it("takes headers of up to 100 MB", async () => {
    for (const length of [10_900_000, 100_000_000]) {
      const bytes = longHeader(length);
      const { tensors, metadata } = await openSafetensors(bytesSource(bytes));
      expect(metadata.note!.length).toBeGreaterThan(length - 100);
      expect((await readTensor(tensors.get("a")!)).toInt32()).toEqual(Int32Array.of(7));
    }
  });

  it("takes what the reference implementation takes", () => {
    const names = (header: string, data = 1): string[] => [...readSafetensors(file(header, data)).tensors.keys()];
    const one = `"a":${BYTE(0)}`;
    expect(names("{}", 0)).toEqual([]);
    expect(names(`\n {${one}} \n\t`)).toEqual(["a"]);
    expect(names(`{"__metadata__":null,${one}}`)).toEqual(["a"]);
    expect(names(`{${one},"a":${BYTE(0)}}`)).toEqual(["a"]);
    expect(names(`{"":${BYTE(0)}}`)).toEqual([""]);
    expect(names('{"a":{"note":[0.5],"dtype":"U8","shape":[1],"data_offsets":[0,1]}}')).toEqual(["a"]);
    const between = { z: tensor("F32", [0], 1, 1), b: tensor("U8", [1], 1, 2), a: tensor("U8", [1], 0, 1) };
    expect(names(JSON.stringify(between), 2)).toEqual(["a", "z", "b"]);
  });

  it.each<[string, Uint8Array, string]>([
    ["an empty file", new Uint8Array(3), "the file has 3 bytes"],
    ["another kind of file", new TextEncoder().encode("PK\u0003\u0004 not this"), "not a safetensors file"],
    ["a cut header", file({ a: tensor("F32", [1], 0, 4) }, 4).subarray(0, 20), "it is cut off"],
    ["a header that is not JSON", file("{nope"), "not valid JSON"],
    ["a header that is a list", file("[1]"), "not a JSON object"],
    ["a tensor without description", file({ a: 3 }), 'tensor "a" has no description'],
    ["an unknown dtype", file({ a: tensor("F8", [1], 0, 1) }, 1), 'dtype "F8"'],
    ["a dtype from the prototype", file({ a: tensor("toString", [1], 0, 1) }, 1), 'dtype "toString"'],
    ["endless nesting", file(`{"a":{"dtype":${"[".repeat(1e6)}${"]".repeat(1e6)}}}`), "has dtype [...], which is not"],
    ["a negative size", file({ a: tensor("F32", [-1], 0, 4) }, 4), "shape [-1]"],
    ["a size that is no number", file({ a: tensor("F32", "x", 0, 4) }, 4), 'shape "x"'],
    ["offsets of one number", file({ a: { dtype: "U8", shape: [1], data_offsets: [0] } }, 1), "data_offsets [0]"],
    ["reversed offsets", file({ a: tensor("F32", [1], 4, 0) }, 4), "ends before it at 0"],
    ["cut data", file({ a: tensor("F32", [2], 0, 8) }, 5), "ends at byte 8 of the data, but the file holds 5"],
    ["a shape of other bytes", file({ a: tensor("F32", [3], 0, 8) }, 8), "F32[3] needs 12 bytes"],
    ["an impossible size", file({ a: tensor("F32", [2 ** 40, 2 ** 40], 0, 4) }, 4), "impossible size"],
    ["overlaps", file({ a: tensor("F32", [2], 0, 8), b: tensor("F32", [2], 4, 12) }, 12), '"b" overlaps'],
    ["a hole", file({ a: tensor("U8", [2], 0, 2), b: tensor("U8", [2], 3, 5) }, 5), '1 unused bytes before tensor "b"'],
    ["bytes after the last tensor", file({ a: tensor("U8", [2], 0, 2) }, 9), "end at byte 2 of the data"],
    ["a header beyond the limit", longHeader(100_000_001), "more than the 100000000 that are allowed"],
    ["a header of nothing", file(""), "not valid JSON"],
    ["a byte order mark", file("\ufeff{}"), "not valid JSON"],
    ["a header padded with zeros", file("{}\0\0"), "not valid JSON"],
    ["data that no tensor names", file("{}", 3), "end at byte 0 of the data, but the file holds 3"],
    ["a name of half a character", file('{"\\ud800":0}'), '"\\ud800" holds half a character'],
    ["half a character in the metadata", file('{"__metadata__":{"a":"\\udc00"}}'), "holds half a character"],
    [
      "a negative zero as a size",
      file('{"a":{"dtype":"U8","shape":[-0],"data_offsets":[0,0]}}'),
      "not a list of sizes",
    ],
    ["sizes beyond counting, times zero", file({ a: tensor("U8", [2 ** 40, 2 ** 40, 0], 0, 0) }), "impossible size"],
    ["nothing inside of another", file({ a: tensor("U8", [8], 0, 8), b: tensor("U8", [0], 4, 4) }, 8), '"b" overlaps'],
    ["nothing behind the end", file({ a: tensor("U8", [0], 9, 9) }, 8), "ends at byte 9 of the data"],
    ["a name twice, with other data", file(`{"a":${BYTE(0)},"a":${BYTE(1)}}`, 2), '1 unused bytes before tensor "a"'],
    ["half a byte", file({ a: tensor("F4", [3], 0, 2) }, 2), "F4[3] needs 1.5 bytes, but its offsets hold 2"],
    ["metadata that is no text", file({ __metadata__: { a: 1 } }), '__metadata__ "a" is not a string'],
    ["metadata that is no object", file({ __metadata__: "x" }), "not an object of strings"],
  ])("refuses %s", async (_, bytes, message) => {
    expect(() => readSafetensors(bytes)).toThrow(message);
    await expect(openSafetensors(bytesSource(bytes))).rejects.toMatchObject({
      name: "FileFormatError",
      message: expect.stringContaining(message),
    });
  });

  it("reads parts of a file's tensors when they are asked for", async () => {
    const written = writeSafetensors([
      ["a", storedEntry(Float32Array.of(1, 2, 3, 4), [2, 2])],
      ["b", storedEntry(BigInt64Array.of(9n), [])],
    ]);
    const places: number[] = [];
    const source = bytesSource(written);
    const watched = {
      ...source,
      read: (offset: number, length: number) => {
        places.push(length);
        return source.read(offset, length);
      },
    };
    const { tensors } = await openSafetensors(watched);
    const headerBytes = places.splice(0);
    expect(headerBytes).toEqual([8, written.length - 8 - 24]);
    const part = await tensors.get("a")!.read(1, 2);
    expect([...new Float32Array(part.slice().buffer)]).toEqual([2, 3]);
    expect((await readTensor(tensors.get("b")!)).toInt32()).toEqual(Int32Array.of(9));
    expect(places).toEqual([8, 8]);
  });

  it("reads a Node Buffer, whose slices share memory", () => {
    const written = writeSafetensors([["a", storedEntry(Float32Array.of(1.5, -2), [2])]]);
    const pooled = Buffer.from(Buffer.concat([Buffer.from("x"), written])).subarray(1);
    expect(readSafetensors(pooled).tensors.get("a")!.toFloat32()).toEqual(Float32Array.of(1.5, -2));
  });

  it("accepts an empty tensor and a padded header", () => {
    const { tensors } = readSafetensors(file(`${JSON.stringify({ a: tensor("F32", [0, 3], 0, 0) })}   `));
    expect(tensors.get("a")!.toFloat32()).toEqual(new Float32Array(0));
  });
});

describe("writeSafetensors", () => {
  it("gives back what was written, aligned", () => {
    const entries: [string, StoredEntry][] = [
      ["bytes", storedEntry(Uint8Array.of(1, 2, 3), [3])],
      ["ids", storedEntry(BigInt64Array.of(49406n, -1n), [2])],
      ["weight", storedEntry(Float32Array.of(0.1, Number.NaN, Infinity, -0), [2, 2])],
      ["wide", storedEntry(Float64Array.of(Math.E), [])],
      ["empty", storedEntry(new Int32Array(0), [0])],
      ["__proto__", storedEntry(Uint32Array.of(5), [1])],
    ];
    const written = writeSafetensors(entries, { format: "pt", note: "ünï" });
    const { tensors, metadata } = readSafetensors(written);
    expect(metadata).toEqual({ format: "pt", note: "ünï" });
    expect([...tensors.keys()].sort()).toEqual(entries.map(([name]) => name).sort());
    for (const [name, entry] of entries) {
      const stored = tensors.get(name)!;
      expect([stored.dtype, stored.shape, [...stored.bytes]]).toEqual([entry.dtype, entry.shape, [...entry.bytes]]);
    }
    const wide = tensors.get("wide")!.bytes;
    expect((wide.byteOffset - written.byteOffset) % 8).toBe(0);
  });

  it("refuses bytes that do not fit the shape", () => {
    expect(() => writeSafetensors([["a", storedEntry(Float32Array.of(1), [2])]])).toThrow("needs 8 bytes, but has 4");
  });

  it("refuses a name twice and the reserved name", () => {
    const entry = storedEntry(Float32Array.of(1), [1]);
    expect(() =>
      writeSafetensors([
        ["a", entry],
        ["a", entry],
      ]),
    ).toThrow('the name "a" is taken');
    expect(() => writeSafetensors([["__metadata__", entry]])).toThrow('the name "__metadata__" is taken');
  });
});
