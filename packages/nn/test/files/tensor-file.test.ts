import {
  blobSource,
  bytesSource,
  isStoredFloat,
  readParts,
  readTensor,
  type StoredTensor,
  storedEntry,
  writeSafetensors,
} from "@deplsr/tensor";
import { describe, expect, it } from "vitest";
import { openTensorFile, type TensorFile } from "../../src/files/tensor-file.ts";
import { bytes, dictionary, int, legacyFile, pickle, tensor, text, torchZip } from "./build.ts";

const open = async (file: Uint8Array | Promise<Uint8Array>): Promise<TensorFile> =>
  openTensorFile(bytesSource(await file));

async function tensorsOf(file: Uint8Array | Promise<Uint8Array>): Promise<Record<string, StoredTensor>> {
  const { tensors } = await open(file);
  const entries = [...tensors].map(async ([name, one]) => [name, await readTensor(one)] as const);
  return Object.fromEntries(await Promise.all(entries));
}

const numbers = ({ dtype, toFloat32, toInt32 }: StoredTensor): number[] => [
  ...(isStoredFloat(dtype) ? toFloat32() : toInt32()),
];

const COUNT = Float32Array.from({ length: 13 }, (_, i) => i);
const view = (offset: number, shape: number[], strides: number[]): Uint8Array =>
  tensor({ size: COUNT.length, offset, shape, strides });

describe("openTensorFile", () => {
  it("reads views of one storage in both formats", async () => {
    const views = dictionary({
      plain: view(0, [3, 4], [4, 1]),
      transposed: view(0, [4, 3], [1, 4]),
      strided: view(1, [2, 2], [8, 3]),
      expanded: view(2, [2, 3], [0, 1]),
      empty: view(0, [0, 4], [4, 1]),
      scalar: view(11, [], []),
      // A stride along an axis of one element says nothing.
      single: view(4, [1, 3, 1], [99, 1, 77]),
    });
    for (const file of [torchZip(pickle(views), { 0: COUNT }), legacyFile(pickle(views), { 0: [13, COUNT] })]) {
      const found = await tensorsOf(file);
      expect(Object.fromEntries(Object.entries(found).map(([name, one]) => [name, numbers(one)]))).toEqual({
        plain: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
        transposed: [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11],
        strided: [1, 4, 9, 12],
        expanded: [2, 3, 4, 2, 3, 4],
        empty: [],
        scalar: [11],
        single: [4, 5, 6],
      });
      expect(found.single!.shape).toEqual([1, 3, 1]);
    }
  });

  it("reads any elements of a view", async () => {
    const file = await open(torchZip(pickle(view(0, [2, 3, 2], [1, 4, 2])), { 0: COUNT }));
    const one = file.tensors.get("tensor")!;
    const all = numbers(await readTensor(one));
    expect(all).toEqual([0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]);
    for (let first = 0; first < 12; first++) {
      for (let count = 0; first + count <= 12; count++) {
        const part = new Float32Array((await one.read(first, count)).slice().buffer);
        expect([...part]).toEqual(all.slice(first, first + count));
      }
    }
  });

  it("reads every stored type", async () => {
    const types: [type: string, dtype: string, values: ArrayBufferView, expected: number[]][] = [
      ["DoubleStorage", "F64", Float64Array.of(0.1, -2), [Math.fround(0.1), -2]],
      ["HalfStorage", "F16", Uint16Array.of(0x3c00, 0xc500, 0x0001, 0x7c00), [1, -5, 2 ** -24, Infinity]],
      ["BFloat16Storage", "BF16", Uint16Array.of(0x3f80, 0xc0a0), [1, -5]],
      ["LongStorage", "I64", BigInt64Array.of(-3n, 7n), [-3, 7]],
      ["IntStorage", "I32", Int32Array.of(-70000), [-70000]],
      ["ShortStorage", "I16", Int16Array.of(-300), [-300]],
      ["CharStorage", "I8", Int8Array.of(-7), [-7]],
      ["ByteStorage", "U8", Uint8Array.of(200), [200]],
      ["BoolStorage", "BOOL", Uint8Array.of(1, 0), [1, 0]],
      ["cuda\nHalfStorage", "F16", Uint16Array.of(0x4000), [2]],
    ];
    for (const [type, dtype, values, expected] of types) {
      const size = expected.length;
      const name = type.includes("\n") ? `cuda.${type.split("\n")[1]}` : type;
      const data = bytes(pickle(tensor({ type: name, size, shape: [size], strides: [1] })));
      const { tensor: found } = await tensorsOf(
        torchZip(name === type ? data : cuda(data), { 0: values }, { "archive/version": text("3") }),
      );
      expect([type, found!.dtype, ...numbers(found!)]).toEqual([type, dtype, ...expected]);
    }
  });

  it("joins names, and leaves out what wraps a tensor", async () => {
    const one = tensor({ size: 1, shape: [1], strides: [1] });
    const parameter = bytes("ctorch._utils\n_rebuild_parameter\n", one, "\x88)\x87R");
    const typed = bytes(
      "ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\nctorch.nn.parameter\nParameter\n",
      bytes("(", one.subarray("ctorch._utils\n_rebuild_tensor_v2\n(".length, -1)),
      "}tR",
    );
    const items = {
      list: bytes("](", one, "]", one, "ae"),
      module: bytes("}", text("a.b"), parameter, "s", int(3), typed, "s"),
      epoch: int(7),
    };
    const { tensors, values } = await open(torchZip(pickle(dictionary(items)), { 0: Float32Array.of(5) }));
    expect([...tensors.keys()]).toEqual(["list/0", "list/1/0", "module/a.b", "module/3"]);
    expect([...values]).toEqual([["epoch", 7]]);
  });

  it("reads the tensors of a TorchScript archive without its code", async () => {
    const one = tensor({ size: 1, shape: [1], strides: [1] });
    const module = (name: string, items: Parameters<typeof dictionary>[0]): Uint8Array =>
      bytes(`c__torch__.${name.replace(/\.(?=\w+$)/, "\n")}\n)\x81`, dictionary(items), "b");
    const data = pickle(
      module("model.Model", {
        training: "\x89",
        visual: module("torch.nn.modules.___torch_mangle_3.Conv2d", { weight: one, bias: "N" }),
        sizes: bytes("ctorch.jit._pickle\nbuild_intlist\n](K\x02K\x03e\x85R"),
      }),
    );
    const files = { "archive/constants.pkl": pickle(")"), "archive/code/model.py": text("import os") };
    const { format, tensors, values } = await open(torchZip(data, { 0: Float32Array.of(5) }, files));
    expect(format).toBe("TorchScript");
    expect([...tensors.keys()]).toEqual(["visual.weight"]);
    expect(Object.fromEntries(values)).toEqual({ training: false, "visual.bias": null, "sizes/0": 2, "sizes/1": 3 });
  });

  it("reads parts of storages, as old files have them", async () => {
    const part = bytes("(", text("view"), int(3), int(4), "t");
    const one = tensor({ size: 13, offset: 1, shape: [2], strides: [1], view: part });
    const found = await tensorsOf(legacyFile(pickle(one), { 0: [13, COUNT] }));
    expect(numbers(found.tensor!)).toEqual([4, 5]);
  });

  it("reads long pickles of old files, and safetensors, from memory and from a Blob", async () => {
    const one = tensor({ size: 1, shape: [1], strides: [1] });
    const long = legacyFile(pickle(dictionary({ note: text("x".repeat(3_000_000)), w: one })), {
      0: [1, COUNT.slice(5, 6)],
    });
    expect(numbers((await tensorsOf(long)).w!)).toEqual([5]);
    const safetensors = writeSafetensors([["w", storedEntry(COUNT, [13])]], { format: "pt" });
    for (const source of [bytesSource(safetensors), blobSource(new Blob([safetensors as Uint8Array<ArrayBuffer>]))]) {
      const file = await openTensorFile(source);
      expect([file.format, file.metadata]).toEqual(["safetensors", { format: "pt" }]);
      expect(numbers(await readTensor(file.tensors.get("w")!))).toEqual([...COUNT]);
    }
  });

  it("knows safetensors files whose length looks like the beginning of another kind", async () => {
    for (const length of [0x80, 0x4b50]) {
      const file = (note: string): Uint8Array => writeSafetensors([["w", storedEntry(COUNT, [13])]], { note });
      const missing = length + 8 + COUNT.byteLength - file("").length;
      const opened = await open(file("x".repeat(missing)));
      expect([opened.format, opened.metadata.note!.length, [...opened.tensors.keys()]]).toEqual([
        "safetensors",
        missing,
        ["w"],
      ]);
      expect(new DataView(file("x".repeat(missing)).buffer).getUint32(0, true)).toBe(length);
    }
  });

  it("reads a safetensors file with a padded header, and the rest of one with a tensor that cannot be read", async () => {
    const header = JSON.stringify({
      a: { dtype: "F8_E4M3", shape: [3], data_offsets: [0, 3] },
      b: { dtype: "F4", shape: [2], data_offsets: [3, 4] },
    });
    const text = bytes(` \n${header}`);
    const file = await open(
      bytes(new Uint8Array(BigUint64Array.of(BigInt(text.length)).buffer), text, Uint8Array.of(0x80, 0xb8, 0xc0, 0)),
    );
    expect(numbers(await readTensor(file.tensors.get("a")!))).toEqual([-0, -1, -2]);
    await expect(readTensor(file.tensors.get("b")!)).rejects.toThrow('tensor "b" cannot be read: its elements are F4');
  });

  it("reads large tensors in parts", async () => {
    const size = 5 * 2 ** 18;
    const values = Float32Array.from({ length: size }, (_, i) => i % 1000);
    const file = await open(torchZip(pickle(tensor({ size, shape: [size], strides: [1] })), { 0: values }));
    const firsts: number[] = [];
    for await (const [first, part] of readParts(file.tensors.get("tensor")!)) {
      firsts.push(first);
      expect(part.toFloat32()[7]).toBe((first + 7) % 1000);
    }
    expect(firsts).toEqual([0, 2 ** 19, 2 ** 20]);
  });

  const one = tensor({ size: 4, shape: [4], strides: [1] });
  const four = Float32Array.of(1, 2, 3, 4);
  const tooLarge = tensor({ size: 4, shape: [2 ** 30, 2 ** 30], strides: [0, 0] });
  it.each<[string, Uint8Array | Promise<Uint8Array>, string]>([
    ["an empty file", new Uint8Array(), "the file is empty"],
    [
      "a text",
      bytes("hello, this is no file of tensors"),
      "neither a PyTorch file (.pth, .pt, .bin) nor a safetensors",
    ],
    ["a web page", bytes("\n<!DOCTYPE html><html>"), "this is a web page, not weights"],
    ["a Git LFS pointer", bytes("version https://git-lfs.github.com/spec/v1\noid sha256:12"), "git lfs pull"],
    ["a tar file", bytes("x".repeat(257), "ustar", "x".repeat(250)), "PyTorch's format before 0.1.10"],
    ["another pickle", bytes(pickle("K\x01")), "a pickle that torch.save did not write"],
    [
      "an archive of something else",
      torchZip(pickle("N")).then((file) => file.map((b, i) => (b === 0x70 && i < 300 ? 0x71 : b))),
      "zip:",
    ],
    ["a big-endian archive", torchZip(pickle(one), { 0: four }, { "archive/byteorder": bytes("big") }), "big-endian"],
    ["a storage that is not there", torchZip(pickle(one)), 'refers to storage "0", which is not in the archive'],
    ["a storage that is too short", torchZip(pickle(one), { 0: four.subarray(1) }), '"0" has 16 bytes, where 12 are'],
    ["an old file without the storage", legacyFile(pickle(one)), 'refers to storage "0", which is not stored'],
    ["one with another", legacyFile(pickle("N"), { 0: [4, four] }), 'stores "0", which nothing refers to'],
    [
      "one whose storage is cut off",
      legacyFile(pickle(one), { 0: [4, four.subarray(1)] }),
      'storage "0" is said to have 16 bytes, beyond',
    ],
    ["one whose storage is enormous", legacyFile(pickle(one), { 0: [2 ** 50, four] }), "beyond the end"],
    ["one whose storage is negative", legacyFile(pickle(one), { 0: [-4, four] }), "beyond the end"],
    [
      "a view beyond its storage",
      torchZip(pickle(tensor({ size: 4, offset: 1, shape: [4], strides: [1] })), { 0: four }),
      "reaches element 4 of a storage of 4",
    ],
    [
      "a view of other axes",
      torchZip(pickle(tensor({ size: 4, shape: [4], strides: [] })), { 0: four }),
      "sizes and strides are none",
    ],
    [
      "thousands of axes",
      torchZip(pickle(tensor({ size: 4, shape: Array(5000).fill(1), strides: Array(5000).fill(1) })), { 0: four }),
      "sizes and strides are none",
    ],
    [
      "a negative size",
      torchZip(pickle(tensor({ size: 4, shape: [-4], strides: [1] })), { 0: four }),
      "sizes and strides are none",
    ],
    ["a view that repeats too much", torchZip(pickle(tooLarge), { 0: four }), "has an impossible size"],
    [
      "many that do",
      torchZip(pickle(tensor({ size: 4, shape: [2 ** 25], strides: [0] })), { 0: four }),
      "but only 16 are stored",
    ],
    [
      "two tensors of a name",
      torchZip(pickle("}", text("a"), "}", text("b"), one, "ss", text("a/b"), one, "s"), { 0: four }),
      'two tensors are named "a/b"',
    ],
    [
      "an endless name",
      torchZip(pickle(dictionary({ ["x".repeat(2000)]: one })), { 0: four }),
      "a name of more than 1000 characters",
    ],
  ])("refuses %s", async (_, file, message) => {
    const error = await open(file).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ name: "FileFormatError", message: expect.stringContaining(message) });
    expect((error as Error).message).not.toMatch(/\n/);
  });
});

/** `torch.cuda.X` is a module and a name. */
function cuda(data: Uint8Array): Uint8Array {
  const characters = String.fromCharCode(...data).replace("ctorch\ncuda.", "ctorch.cuda\n");
  return bytes(characters);
}
