import { crc32 } from "node:zlib";
import { expect, it } from "vitest";
import { zip } from "../../src/page/zip.ts";

/** Names and contents by the archive's directory. */
function read(bytes: Buffer): ReadonlyMap<string, Buffer> {
  const end = bytes.length - 22;
  expect(bytes.readUInt32LE(end)).toBe(0x06054b50);
  const files = new Map<string, Buffer>();
  let at = bytes.readUInt32LE(end + 16);
  expect(at + bytes.readUInt32LE(end + 12)).toBe(end);
  for (let i = 0; i < bytes.readUInt16LE(end + 10); i++) {
    expect(bytes.readUInt32LE(at)).toBe(0x02014b50);
    const length = bytes.readUInt16LE(at + 28);
    const name = bytes.toString("utf8", at + 46, at + 46 + length);
    const local = bytes.readUInt32LE(at + 42);
    expect(bytes.readUInt32LE(local)).toBe(0x04034b50);
    expect(bytes.toString("utf8", local + 30, local + 30 + length)).toBe(name);
    // Versions, times, checksum and sizes stand in both places.
    expect(bytes.subarray(local + 4, local + 28)).toEqual(bytes.subarray(at + 6, at + 30));
    const data = bytes.subarray(local + 30 + length, local + 30 + length + bytes.readUInt32LE(at + 24));
    expect(bytes.readUInt32LE(at + 16)).toBe(crc32(data));
    files.set(name, data);
    at += 46 + length;
  }
  return files;
}

it("holds every file, each under a name of its own", async () => {
  const entries = ["one", "", "three"].map((text, i) => ({
    name: ["a.png", "ö.png", "A.png"][i]!,
    blob: new Blob([text]),
  }));
  const files = read(Buffer.from(await (await zip(entries)).arrayBuffer()));
  expect([...files.keys()]).toEqual(["a.png", "ö.png", "A-2.png"]);
  expect([...files.values()].map(String)).toEqual(["one", "", "three"]);
});

it("refuses what does not fit", async () => {
  const large = { size: 2 ** 32, stream: () => new Blob([]).stream() } as Blob;
  await expect(zip([{ name: "large.png", blob: large }])).rejects.toThrow("larger than 4 GB");
});
