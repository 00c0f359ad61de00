import { afterAll, describe, expect, it } from "vitest";
import { Device } from "../../src/device.ts";
import { fillFromFile } from "../../src/io/fill.ts";
import { openSafetensors, writeSafetensors } from "../../src/io/safetensors.ts";
import { bytesSource } from "../../src/io/source.ts";
import { type FileTensor, type StoredEntry, storedEntry } from "../../src/io/stored.ts";
import { mul } from "../../src/ops/index.ts";

const device = await Device.request();
afterAll(() => device.destroy());

async function inFile(entry: StoredEntry): Promise<FileTensor> {
  const { tensors } = await openSafetensors(bytesSource(writeSafetensors([["x", entry]])));
  return tensors.get("x")!;
}

describe("fillFromFile", () => {
  it("writes values of any stored type, in several parts where they are many", async () => {
    const size = 2 ** 20 + 3;
    const values = Float32Array.from({ length: size }, (_, i) => i % 4099);
    const target = device.zeros([size]);
    await fillFromFile(target, await inFile(storedEntry(values, [size])));
    const found = (await target.data()) as Float32Array;
    expect(found.findIndex((value, i) => value !== values[i])).toBe(-1);
    const integers = device.tensor(Int32Array.of(0, 0), [2], { dtype: "i32" });
    await fillFromFile(integers, await inFile(storedEntry(BigInt64Array.of(-5n, 7n), [2])));
    expect([...(await integers.data())]).toEqual([-5, 7]);
    const scalar = device.zeros([]);
    await fillFromFile(scalar, await inFile(storedEntry(Float64Array.of(0.5), [])));
    expect(await scalar.item()).toBe(0.5);
    const empty = device.zeros([0, 3]);
    await fillFromFile(empty, await inFile(storedEntry(new Float32Array(), [0, 3])));
    for (const tensor of [target, integers, scalar, empty]) tensor.dispose();
  });

  it("leaves alone what was computed from the old values", async () => {
    const target = device.tensor([1, 2], [2]);
    const before = mul(target, 10);
    await fillFromFile(target, await inFile(storedEntry(Float32Array.of(3, 4), [2])));
    expect([...(await before.data())]).toEqual([10, 20]);
    expect([...(await target.data())]).toEqual([3, 4]);
    for (const tensor of [target, before]) tensor.dispose();
  });

  it("refuses another shape, and floats for whole numbers", async () => {
    const target = device.tensor(Int32Array.of(1), [1], { dtype: "i32" });
    await expect(fillFromFile(target, await inFile(storedEntry(Float32Array.of(1), [1, 1])))).rejects.toThrow(
      "F32[1, 1] of the file does not fit i32[1]",
    );
    await expect(fillFromFile(target, await inFile(storedEntry(Float32Array.of(1), [1])))).rejects.toThrow(
      'tensor "x" is F32, but integers are expected',
    );
    target.dispose();
  });
});
