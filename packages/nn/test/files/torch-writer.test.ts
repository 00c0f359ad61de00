import { bytesSource, type FileTensor, readTensor, type StoredDType } from "@deplsr/tensor";
import { describe, expect, it } from "vitest";
import { asHalf } from "../../src/files/half.ts";
import { openTensorFile } from "../../src/files/tensor-file.ts";
import { writeTorchFile } from "../../src/files/torch-writer.ts";
import { MemorySink } from "./build.ts";

function tensor(name: string, dtype: StoredDType, shape: number[], values: ArrayBufferView): FileTensor {
  const all = new Uint8Array(values.buffer);
  const width = all.length / shape.reduce((product, size) => product * size, 1);
  const read = async (first: number, count: number): Promise<Uint8Array> =>
    all.subarray(first * width, (first + count) * width);
  return { name, dtype, shape, read };
}

const written = async (...tensors: FileTensor[]): Promise<Uint8Array> => {
  const sink = new MemorySink();
  await writeTorchFile(new Map(tensors.map((one) => [one.name, one])), sink);
  return sink.bytes();
};

describe("writeTorchFile", () => {
  it("writes what is read again, in its order", async () => {
    const tensors = [
      tensor("layers.0.weight", "F32", [2, 3], Float32Array.of(1, -2, 3.5, 0, Number.NaN, 7)),
      tensor("ключ", "BF16", [1], Uint16Array.of(0x3f80)),
      tensor("steps", "I64", [], BigInt64Array.of(2n ** 60n)),
      tensor("mask", "BOOL", [3], Uint8Array.of(1, 0, 1)),
      tensor(
        "large",
        "F32",
        [3, 2 ** 20],
        Float32Array.from({ length: 3 * 2 ** 20 }, (_, i) => i),
      ),
    ];
    const file = await openTensorFile(bytesSource(await written(...tensors)));
    expect([...file.tensors.keys()]).toEqual(tensors.map(({ name }) => name));
    for (const one of tensors) {
      const found = await readTensor(file.tensors.get(one.name)!);
      const original = await readTensor(one);
      expect([found.dtype, found.shape]).toEqual([one.dtype, one.shape]);
      expect(Buffer.compare(found.bytes, original.bytes)).toBe(0);
    }
    expect(Buffer.compare(await written(...tensors), await written(...tensors))).toBe(0);
  });

  it("refuses element types that PyTorch lacks", async () => {
    await expect(written(tensor("a", "U32", [1], Uint32Array.of(1)))).rejects.toThrow(
      'convert: tensor "a" is U32, which the storages of torch.save lack',
    );
  });
});

describe("asHalf", () => {
  it("rounds to nearest, ties to even, tells what becomes infinite, and leaves whole numbers alone", async () => {
    const lost: string[] = [];
    const half = (one: FileTensor): FileTensor => asHalf(one, (name, count) => lost.push(`${name}: ${count}`));
    const values = [1 / 3, 2049, 2051, 65504, 65519, 65520, -1e9, Number.POSITIVE_INFINITY, 3e-8, -0, 2 ** -14];
    const one = half(tensor("w", "F32", [values.length], Float32Array.from(values)));
    const found = await readTensor(one);
    expect([found.dtype, ...found.toFloat32()]).toEqual([
      "F16",
      ...[0.333251953125, 2048, 2052, 65504, 65504],
      ...[Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, 2 ** -24, -0, 2 ** -14],
    ]);
    expect(lost).toEqual(["w: 2"]);
    const small = await readTensor(half(tensor("s", "F8_E4M3", [2], Uint8Array.of(0x7e, 0x01))));
    expect([small.dtype, ...small.toFloat32()]).toEqual(["F16", 448, 2 ** -9]);
    const sparse = { ...tensor("t", "F32", [1], Float32Array.of(1)), unreadable: "it is sparse" };
    expect(half(sparse)).toBe(sparse);
    const index = tensor("index", "I64", [1], BigInt64Array.of(5n));
    expect(half(index)).toBe(index);
  });
});
