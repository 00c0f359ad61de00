import { afterAll, describe, expect, it } from "vitest";
import { Device } from "../../src/device.ts";
import { fillFromFile } from "../../src/io/fill.ts";
import { openSafetensors, writeSafetensors } from "../../src/io/safetensors.ts";
import { bytesSource, FileFormatError } from "../../src/io/source.ts";
import { type FileTensor, type StoredEntry, storedEntry } from "../../src/io/stored.ts";
import { assign, mul, reshape } from "../../src/ops/index.ts";
import type { Tensor } from "../../src/tensor.ts";

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

  /** A tensor of two parts, and what happens when the second is read. */
  const twoParts = (before: () => unknown): FileTensor => ({
    name: "w",
    dtype: "U8",
    shape: [SIZE],
    read: async (first, count) => {
      if (first > 0) await before();
      return new Uint8Array(count).fill(9);
    },
  });
  const SIZE = 2 ** 21 + 1;
  const ends = async (x: Tensor): Promise<(number | undefined)[]> => {
    const values = await x.data();
    return [values[0], values.at(-1)];
  };

  it("shows the old values until all are read, and then the new ones at once", async () => {
    const target = device.ones([SIZE]);
    const seen: unknown[] = [];
    let made: Tensor | undefined;
    await fillFromFile(
      target,
      twoParts(async () => {
        seen.push(...(await ends(target)));
        made = mul(target, 2);
      }),
    );
    expect([seen, await ends(made!), await ends(target)]).toEqual([
      [1, 1],
      [2, 2],
      [9, 9],
    ]);
    for (const tensor of [target, made!]) tensor.dispose();
  });

  it("leaves the old values where a part cannot be read, and no memory behind", async () => {
    const target = device.ones([SIZE]);
    await target.data();
    const before = device.memory().liveBuffers;
    const fails = (): never => {
      throw new FileFormatError("cut off");
    };
    await expect(fillFromFile(target, twoParts(fails))).rejects.toThrow("cut off");
    expect(await ends(target)).toEqual([1, 1]);
    expect(device.memory().liveBuffers).toEqual(before);
    target.dispose();
  });

  it("replaces what is assigned in between, and ends with the error of a target that is gone", async () => {
    const target = device.ones([SIZE]);
    const other = device.full([SIZE], 5);
    const row = device.zeros([1, SIZE]);
    await fillFromFile(
      target,
      twoParts(() => assign(target, other)),
    );
    expect([await ends(target), await ends(other)]).toEqual([
      [9, 9],
      [5, 5],
    ]);
    await expect(
      fillFromFile(
        target,
        twoParts(() => target.dispose()),
      ),
    ).rejects.toThrow(/fillFromFile: x f32\[2097153\] was disposed/);
    await expect(
      fillFromFile(
        target,
        twoParts(() => {}),
      ),
    ).rejects.toThrow("was disposed");
    await expect(
      fillFromFile(
        reshape(row, [SIZE]),
        twoParts(() => {}),
      ),
    ).rejects.toThrow("is a view");
    for (const tensor of [other, row]) tensor.dispose();
  });

  it("of F8 gives f32 and f16", async () => {
    const half = device.info.features.includes("shader-f16");
    for (const dtype of half ? (["f32", "f16"] as const) : (["f32"] as const)) {
      const target = device.zeros([3], { dtype });
      const bytes = Uint8Array.of(0x38, 0xfe, 0x01);
      await fillFromFile(target, { name: "w", dtype: "F8_E4M3", shape: [3], read: async () => bytes });
      expect([...(await target.data())]).toEqual([1, -448, 2 ** -9]);
      target.dispose();
    }
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
