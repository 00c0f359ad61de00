import { bytesSource, readTensor, type StoredTensor } from "@deplsr/tensor";
import { describe, expect, it } from "vitest";
import { openTensorFile, type TensorFile } from "../../src/files/tensor-file.ts";
import { bytes, dictionary, int, legacyFile, pickle, type TensorOps, tensor, text, torchZip } from "./build.ts";

const open = async (file: Uint8Array | Promise<Uint8Array>): Promise<TensorFile> =>
  openTensorFile(bytesSource(await file));

const read = async (file: TensorFile, name: string): Promise<StoredTensor> => readTensor(file.tensors.get(name)!);

/** A vector of the storage "0". */
const vector = (type: string, size: number, more: Partial<TensorOps> = {}): Uint8Array =>
  tensor({ type, size, shape: [size], strides: [1], ...more });

const NEG = dictionary({ neg: "\x88", conj: "\x89" });
const FOUR = Float32Array.of(1, 2, 3, 4);
const one = vector("FloatStorage", 4);
const sizes = (...values: number[]): Uint8Array => bytes("(", ...values.map(int), "t");

describe("metadata of tensors", () => {
  it.each<[type: string, stored: ArrayBufferView, negated: readonly number[]]>([
    ["FloatStorage", Float32Array.of(0, 1, -2, Infinity), [-0, -1, 2, -Infinity]],
    ["DoubleStorage", Float64Array.of(0, 1, -0.5), [-0, -1, 0.5]],
    ["HalfStorage", Uint16Array.of(0, 0x3c00, 0xc500), [-0, -1, 5]],
    ["BFloat16Storage", Uint16Array.of(0, 0x3f80), [-0, -1]],
    ["LongStorage", BigInt64Array.of(0n, 5n, -(2n ** 40n)), [0, -5, 2 ** 40]],
    ["IntStorage", Int32Array.of(0, 1, -(2 ** 31), 256), [0, -1, -(2 ** 31), -256]],
    ["ShortStorage", Int16Array.of(0, 256, -1), [0, -256, 1]],
    ["CharStorage", Int8Array.of(0, 1, -128), [0, -1, -128]],
    ["ByteStorage", Uint8Array.of(0, 1, 255), [0, 255, 1]],
  ])("negate a tensor of %s whose neg bit is set", async (type, stored, negated) => {
    const before = new Uint8Array(stored.buffer).slice();
    const count = negated.length;
    const plain = vector(type, count);
    const both = pickle(dictionary({ plain, negated: vector(type, count, { more: NEG }) }));
    for (const file of [
      await open(torchZip(both, { 0: stored })),
      await open(legacyFile(both, { 0: [count, stored] })),
    ]) {
      expect([...(await read(file, "negated")).toFloat64()]).toEqual(negated);
      const part = await file.tensors.get("negated")!.read(1, 1);
      expect(part).toEqual((await read(file, "negated")).bytes.slice(part.length, 2 * part.length));
      // What is read is the reader's: the file, and who shares the storage, stay as they are.
      expect((await read(file, "plain")).bytes).toEqual(before);
    }
  });

  it("negate a tensor that is not contiguous", async () => {
    const turned = tensor({ size: 4, shape: [2, 2], strides: [1, 2], more: NEG });
    const file = await open(torchZip(pickle(turned), { 0: FOUR }));
    expect([...(await read(file, "tensor")).toFloat32()]).toEqual([-1, -3, -2, -4]);
  });

  it("change nothing where no bit is set, nor by the conj bit of real numbers", async () => {
    for (const more of ["N", "}", dictionary({ neg: "\x89", conj: "\x88" })]) {
      const file = await open(torchZip(pickle(vector("FloatStorage", 4, { more })), { 0: FOUR }));
      expect([...(await read(file, "tensor")).toFloat32()]).toEqual([...FOUR]);
    }
  });

  it("that are not known, or that a type cannot have, make the tensor alone unreadable", async () => {
    const data = pickle(
      dictionary({
        odd: vector("FloatStorage", 4, { more: dictionary({ layout: int(3) }) }),
        mask: vector("BoolStorage", 2, { key: "1", more: NEG }),
        fine: one,
      }),
    );
    const file = await open(torchZip(data, { 0: FOUR, 1: Uint8Array.of(0, 1) }));
    await expect(read(file, "odd")).rejects.toThrow(
      'tensor "odd" cannot be read: it carries "layout", which is not known here: save a clone() of it on the CPU',
    );
    await expect(read(file, "mask")).rejects.toThrow("it is negated, which BOOL cannot be: save its resolve_neg()");
    expect([...(await read(file, "fine")).toFloat32()]).toEqual([...FOUR]);
    const none = open(torchZip(pickle(vector("FloatStorage", 4, { more: int(1) })), { 0: FOUR }));
    await expect(none).rejects.toThrow("gives a tensor metadata that are none");
  });
});

describe("tensors of newer element types", () => {
  it.each<[type: string, dtype: string, stored: ArrayBufferView, expected: readonly number[]]>([
    ["float8_e4m3fn", "F8_E4M3", Uint8Array.of(0x38, 0xfe), [1, -448]],
    ["float8_e5m2", "F8_E5M2", Uint8Array.of(0x3c, 0x7c), [1, Infinity]],
    ["float8_e8m0fnu", "F8_E8M0", Uint8Array.of(127, 0), [1, 2 ** -127]],
    ["uint16", "U16", Uint16Array.of(1, 65535), [1, 65535]],
    ["uint64", "U64", BigUint64Array.of(1n, 2n ** 40n), [1, 2 ** 40]],
    ["float32", "F32", Float32Array.of(1, -2), [1, -2]],
  ])("reads %s from a storage of bytes", async (type, dtype, stored, expected) => {
    const size = stored.byteLength;
    const of = (more: Uint8Array | string): Uint8Array =>
      tensor({ type: "torch.storage\nUntypedStorage", size, shape: [2], strides: [1], version: 3, more });
    const data = pickle(dictionary({ a: of(`ctorch\n${type}\n`), b: of(bytes(`ctorch\n${type}\n`, "}")) }));
    const file = await open(torchZip(data, { 0: stored }));
    for (const name of ["a", "b"]) {
      const found = await read(file, name);
      expect([found.dtype, ...found.toFloat64()]).toEqual([dtype, ...expected]);
    }
  });

  it("refuses one beyond its storage, and one of no type", async () => {
    const of = (more: string, length: number): Promise<TensorFile> =>
      open(
        torchZip(
          pickle(
            tensor({ type: "torch.storage\nUntypedStorage", size: 7, shape: [length], strides: [1], version: 3, more }),
          ),
          { 0: new Uint8Array(7) },
        ),
      );
    await expect(of("ctorch\nuint32\n", 2)).rejects.toThrow("reaches element 1 of a storage of 1");
    await expect(of("ctorch\nfloat3\n", 1)).rejects.toThrow('makes a tensor of the type "torch.float3"');
    await expect(of("N", 1)).rejects.toThrow("makes a tensor of the type");
  });
});

describe("tensors that cannot be read", () => {
  const call = (name: string, ...args: (Uint8Array | string)[]): Uint8Array =>
    bytes(`c${name.replace(/\.(?=\w+$)/, "\n")}\n(`, ...args, "tR");
  const storage = (type: string): Uint8Array =>
    bytes("(", text("storage"), `ctorch\n${type}\n`, text("0"), text("cpu"), int(2), "tQ");
  const layout = (name: string): Uint8Array => call("torch.serialization._get_layout", text(name));
  const long = vector("LongStorage", 2, { key: "1" });
  const inner = one.subarray("ctorch._utils\n_rebuild_tensor_v2\n".length, -1);

  it.each<[kind: string, instructions: Uint8Array, dtype: string, shape: readonly number[], why: string]>([
    [
      "complex",
      vector("ComplexFloatStorage", 2, { more: dictionary({ conj: "\x88" }) }),
      ...(["C64", [2], "it holds complex numbers (C64): save their real and imaginary parts"] as const),
    ],
    ["doubly complex", vector("ComplexDoubleStorage", 1), "C128", [1], "it holds complex numbers (C128)"],
    [
      "quantized",
      call(
        "torch._utils._rebuild_qtensor",
        ...[storage("QInt8Storage"), int(0), sizes(2), sizes(1)],
        bytes("(ctorch\nper_tensor_affine\nK\x01K\x00t\x89)"),
      ),
      ...(["I8", [2], "it is quantized: save its dequantize()"] as const),
    ],
    [
      "sparse",
      call(
        "torch._utils._rebuild_sparse_tensor",
        layout("torch.sparse_coo"),
        bytes("(", long, one, sizes(9, 9), "\x88t"),
      ),
      ...(["F32", [9, 9], "it is sparse: save its to_dense()"] as const),
    ],
    [
      "compressed",
      call(
        "torch._utils._rebuild_sparse_tensor",
        layout("torch.sparse_csr"),
        bytes("(", long, long, one, sizes(9, 9), "t"),
      ),
      ...(["F32", [9, 9], "it is sparse: save its to_dense()"] as const),
    ],
    [
      "nested",
      call("torch._utils._rebuild_nested_tensor", one, long, long, long),
      ...(["F32", [4], "it is nested: save its to_padded_tensor(0), or its parts"] as const),
    ],
    [
      "jagged",
      call(
        "torch._tensor._rebuild_from_type_v2",
        "ctorch.nested._internal.nested_tensor\n_rebuild_njt\n",
        "ctorch.nested._internal.nested_tensor\nNestedTensor\n",
        bytes(dictionary({ values: one, offsets: long }), "\x85}"),
      ),
      ...(["F32", [4], "it is nested"] as const),
    ],
    [
      "meta",
      call("torch._utils._rebuild_meta_tensor_no_storage", "ctorch\nfloat16\n", sizes(3, 5), sizes(5, 1), "\x89"),
      ...(["F16", [3, 5], "it is of the device meta and has no values: save it from another one"] as const),
    ],
    [
      "of a class",
      call(
        "torch._tensor._rebuild_from_type_v2",
        "ctorch._utils\n_rebuild_tensor_v2\n",
        bytes("cmine\nMasked\n", inner, dictionary({ mask: "cmine\nmake\n)R" })),
      ),
      ...(["F32", [4], 'it is a "mine.Masked", a class that is not known here: save it as a plain tensor'] as const),
    ],
    [
      "of a class that wraps others",
      call(
        "torch._tensor._rebuild_from_type_v2",
        "ctorch._utils\n_rebuild_wrapper_subclass\ncmine\nInt4\n",
        bytes("(cmine\nInt4\nctorch\nbfloat16\n", sizes(2, 2), sizes(2, 1), int(0), layout("torch.strided")),
        bytes(call("torch.device", text("cuda"), int(1)), "\x89t", dictionary({ packed: one })),
      ),
      ...(["BF16", [2, 2], 'it is a "mine.Int4", a class'] as const),
    ],
  ])("are listed with the reason: %s", async (_, instructions, dtype, shape, why) => {
    const parameter = call("torch._utils._rebuild_parameter", instructions, "\x88)");
    const data = pickle(
      dictionary({ it: instructions, wrapped: parameter, fine: vector("FloatStorage", 4, { key: "2" }) }),
    );
    const file = await open(torchZip(data, { 0: new Uint8Array(16), 1: BigInt64Array.of(0n, 1n), 2: FOUR }));
    expect([...file.tensors.keys()]).toEqual(["it", "wrapped", "fine"]);
    for (const name of ["it", "wrapped"]) {
      const found = file.tensors.get(name)!;
      expect([found.dtype, found.shape, found.unreadable]).toEqual([dtype, shape, expect.stringContaining(why)]);
      await expect(readTensor(found)).rejects.toMatchObject({
        name: "FileFormatError",
        message: `tensor "${name}" cannot be read: ${found.unreadable}`,
      });
    }
    expect([...(await read(file, "fine")).toFloat32()]).toEqual([...FOUR]);
  });

  it("are refused where they are none", async () => {
    for (const instructions of [
      call("torch._utils._rebuild_sparse_tensor", layout("torch.sparse_coo"), "N"),
      call("torch._utils._rebuild_sparse_tensor", layout("torch.sparse_coo"), bytes("(", long, one, "Nt")),
      call("torch._utils._rebuild_nested_tensor", "N"),
      call("torch._utils._rebuild_meta_tensor_no_storage", "NN"),
      call("torch._utils._rebuild_meta_tensor_no_storage", bytes("ctorch\nfloat16\n", int(2))),
      call("torch._utils._rebuild_qtensor", "N"),
      call("torch._utils._rebuild_parameter", "N"),
      call("torch._tensor._rebuild_from_type_v2", "ctorch._utils\n_rebuild_tensor_v2\nN", inner),
      call("torch._tensor._rebuild_from_type_v2", "cmine\nmake\ncmine\nMasked\n)}"),
    ]) {
      const file = torchZip(pickle(instructions), { 0: FOUR, 1: BigInt64Array.of(0n, 1n) });
      await expect(open(file)).rejects.toMatchObject({
        name: "FileFormatError",
        message: expect.stringMatching(/^pickle: makes a tensor /),
      });
    }
  });
});

describe("objects of unknown classes", () => {
  const namespace = (state: Uint8Array | string): Uint8Array => bytes("cargparse\nNamespace\n)\x81", state, "b");

  it("are left out where they lie beside the tensors, whatever is in them", async () => {
    const items = {
      params: dictionary({ w: one }),
      args: namespace(dictionary({ lr: "K\x01", path: bytes("cpathlib\nPosixPath\n", text("/"), "\x85R") })),
      config: bytes("cmine\nConfig\n)\x81(", text("a"), "K\x01u(K\x02e"),
      self: bytes("cmine\nNode\n)\x81q\x07}", text("parent"), "h\x07sb"),
      type: "ctorch.optim.adam\nAdam\n",
      half: "ctorch\nfloat16\n",
      factory: bytes("ccollections\ndefaultdict\ncmine\nmake\n\x85R", text("d"), "K\x03s"),
      device: bytes("ctorch\ndevice\n", text("cuda"), "K\x01\x86R"),
    };
    const data = pickle(dictionary(items));
    for (const file of [await open(torchZip(data, { 0: FOUR })), await open(legacyFile(data, { 0: [4, FOUR] }))]) {
      expect([...file.tensors.keys()]).toEqual(["params/w"]);
      expect(Object.fromEntries(file.objects)).toEqual({
        args: "argparse.Namespace",
        config: "mine.Config",
        self: "mine.Node",
        type: "torch.optim.adam.Adam",
      });
      expect(Object.fromEntries(file.values)).toEqual({ "factory/d": 3, device: "cuda:1" });
    }
  });

  it.each<[string, Uint8Array | string, string]>([
    ["the file itself", namespace("}"), "argparse.Namespace"],
    ["what holds tensors in its state", dictionary({ model: namespace(dictionary({ w: one })) }), "argparse.Namespace"],
    ["what is made of tensors", dictionary({ a: bytes("cmine\nBox\n", one, "\x85\x81") }), "mine.Box"],
    [
      "a dictionary of a class, with tensors",
      dictionary({ a: bytes("cmine\nDict\n)\x81", text("w"), one, "s") }),
      "mine.Dict",
    ],
    ["a list of a class, with tensors", dictionary({ a: bytes("cmine\nList\n)\x81", one, "a") }), "mine.List"],
    [
      "what holds an object that holds tensors",
      dictionary({ a: bytes("cmine\nOuter\n)\x81]", namespace(one), "ab") }),
      "mine.Outer",
    ],
    ["what a function would make", dictionary({ w: one, a: bytes("cmine\nmake\n", text("/"), "\x85R") }), "mine.make"],
  ])("are refused as %s", async (_, instructions, name) => {
    await expect(open(torchZip(pickle(instructions), { 0: FOUR }))).rejects.toThrow(
      `pickle: asks for "${name}", which is refused`,
    );
  });

  it("may be very many, or very large", async () => {
    const shared = bytes("](", "K\x01".repeat(200_000), "eq\x05");
    const many = bytes("](", "cmine\nA\n)\x81h\x05b".repeat(20_000), "e");
    const file = await open(
      torchZip(pickle("}", text("big"), "cmine\nA\n)\x81", shared, "bs", text("many"), many, "s")),
    );
    expect(file.objects.size).toBe(20_001);
  });
});
