import { bytesSource } from "@deplsr/tensor";
import { describe, expect, it } from "vitest";
import { openTensorFile, type PlainValue } from "../../src/files/tensor-file.ts";
import { bytes, dictionary, int, legacyFile, pickle, text, torchZip } from "./build.ts";

/** What a file with this pickle holds beside tensors. */
async function valuesOf(data: Uint8Array): Promise<Record<string, PlainValue>> {
  const { values } = await openTensorFile(bytesSource(await torchZip(data)));
  return Object.fromEntries(values);
}

const float = (value: number): Uint8Array => {
  const result = new Uint8Array(9);
  result[0] = 0x47;
  new DataView(result.buffer).setFloat64(1, value);
  return result;
};

describe("pickles", () => {
  it("give numbers, text and containers of every kind of instruction", async () => {
    const items = {
      none: "N",
      yes: "\x88",
      no: "\x89",
      byte: "K\xff",
      short: "M\x01\xff",
      int: int(-7),
      long: "\x8a\x06\x00\x00\x00\x00\x00\x01", // 2^40
      negative: "\x8a\x02\x00\x80", // -32768
      zero: "\x8a\x00",
      huge: bytes("\x8a\x08", new Uint8Array(BigInt64Array.of(-(2n ** 62n)).buffer)),
      float: float(-1.5),
      python2: "U\x03abc",
      short4: "\x8c\x02\xc3\xa4",
      tuple: "K\x01K\x02\x86",
      list: "](K\x01K\x02e",
      appended: "]K\x05a",
      ordered: bytes("ccollections\nOrderedDict\n)R", text("b"), "K\x01s}", text("_metadata"), "K\x09sb"),
      pairs: bytes("ccollections\nOrderedDict\n]]", text("k"), "aK\x04aa\x85R"),
      size: "ctorch\nSize\nK\x03\x85\x85R",
      set: "c__builtin__\nset\n](K\x07e\x85R",
      set4: "\x8f(K\x08\x90",
      frozen: "(K\x09\x91",
      counter: bytes("ccollections\nCounter\n}", int(100), "K\x02s\x85R"),
      factory: bytes("ccollections\ndefaultdict\ncbuiltins\nlist\n\x85R", text("d"), "K\x03s"),
      kept: "K\x2aq\x000h\x00",
    };
    expect(await valuesOf(pickle(dictionary(items)))).toEqual({
      none: null,
      yes: true,
      no: false,
      byte: 255,
      short: 0xff01,
      int: -7,
      long: 2 ** 40,
      negative: -32768,
      zero: 0,
      huge: -(2n ** 62n),
      float: -1.5,
      python2: "abc",
      short4: "ä",
      "tuple/0": 1,
      "tuple/1": 2,
      "list/0": 1,
      "list/1": 2,
      "appended/0": 5,
      "ordered/b": 1,
      "pairs/k": 4,
      "size/0": 3,
      "set/0": 7,
      "set4/0": 8,
      "frozen/0": 9,
      "counter/100": 2,
      "factory/d": 3,
      kept: 42,
    });
  });

  it("of protocol 4, with frames, memo and globals from the stack", async () => {
    const data = bytes(
      "\x80\x04\x95",
      new Uint8Array(8),
      "}\x8c\x01a\x94\x8c\x0bcollections\x8c\x0bOrderedDict\x93)R\x94s.",
    );
    expect(await valuesOf(data)).toEqual({});
    expect(await valuesOf(bytes("\x80\x04\x8c\x01x\x94(K\x01h\x00t."))).toEqual({ "0": 1, "1": "x" });
  });

  it("give NumPy's numbers", async () => {
    const scalar = (type: string, value: string | Uint8Array): Uint8Array =>
      bytes(
        `cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nU\x02${type}K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb`,
        value,
        "\x86R",
      );
    const latin1 = (characters: string): Uint8Array =>
      bytes("c_codecs\nencode\n", text(characters), text("latin1"), "\x86R");
    const eight = (value: number): string => String.fromCharCode(...new Uint8Array(Float64Array.of(value).buffer));
    expect(await valuesOf(pickle(dictionary({ best: scalar("f8", latin1(eight(27.125))) })))).toEqual({ best: 27.125 });
    expect(await valuesOf(pickle(dictionary({ step: scalar("i4", "C\x04\x05\x00\x00\x00") })))).toEqual({ step: 5 });
    await expect(valuesOf(pickle(scalar("O8", "C\x00")))).rejects.toThrow('pickle: holds a NumPy number of type "O8"');
  });

  it.each<[string, string | Uint8Array, string]>([
    ["a function of the system", "cposix\nsystem\nU\x02ls\x85R", 'asks for "posix.system"'],
    ["a function from the stack", "\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R", 'asks for "builtins.eval"'],
    ["a module", "ctorch.nn.modules.linear\nLinear\n)\x81}b", 'asks for "torch.nn.modules.linear.Linear"'],
    ["a name that hides its lines", "cos\nsys\rtem\n", 'asks for "os.sys\\rtem"'],
    ["an attribute of an allowed name", "ccollections\nOrderedDict.fromkeys\n", '"collections.OrderedDict.fromkeys"'],
    ["a class of TorchScript outside of its archives", "c__torch__\nModel\n)\x81", 'asks for "__torch__.Model"'],
    ["a name from a prototype", "cconstructor\nname\n", 'asks for "constructor.name"'],
    ["a call of a type", "ctorch\nFloatStorage\n)R", "calls torch.FloatStorage"],
    ["a call of another type", "cbuiltins\nlist\n)R", "calls builtins.list"],
    ["a call of a number", "K\x01)R", "calls what is no function"],
    ["a call without a list", "ctorch\nSize\nNR", "calls what is no function"],
    [
      "a state of a storage",
      "(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x00tQ}b",
      "sets the state of a storage",
    ],
    ["a state of a number", "K\x01}b", "sets the state of a plain value"],
    ["a module by persistent id", "(U\x06moduleNNNtQ", "refers to something else than a storage"],
    ["a storage of a type that is none", "(U\x07storageK\x01U\x010U\x03cpuK\x00tQ", "a storage without a type"],
    ["a storage without a size", "(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuNtQ", "without a name or size"],
    ["a tensor of no storage", "ctorch._utils\n_rebuild_tensor_v2\n(NK\x00))tR", "a tensor of what is no storage"],
    ["an extension code", "\x82\x01", 'asks for "copyreg extension 1"'],
    ["an instance of protocol 0", "(cos\nx\no", 'asks for "os.x"'],
    ["a function in a list", "](K\x01cposix\nsystem\nU\x02ls\x85Re", 'asks for "posix.system"'],
    ["a function's result in a dictionary", "}U\x01acbuiltins\neval\nU\x011\x85Rs", 'asks for "builtins.eval"'],
    ["a function as a storage", "ctorch._utils\n_rebuild_tensor_v2\n(cos\nx\n)RK\x00))tR", "of what is no storage"],
    ["an object as a key", "}cos\nx\n)\x81K\x01s", "a dictionary key that is neither text nor number"],
    ["an append to a number", "K\x01K\x02a", "appends to what is no list"],
    ["items of a list", "]K\x01K\x02s", "sets items of what is no dictionary"],
    ["a list as a key", "}]K\x01s", "a dictionary key that is neither text nor number"],
    [
      "arguments that hold themselves",
      "ctorch._tensor\n_rebuild_from_type_v2\nq\x00(h\x00Nt]q\x01h\x00aNah\x01a0h\x00h\x01R",
      "makes a tensor of what is none",
    ],
    ["a NumPy type of a number", "cnumpy\ndtype\n\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85R", "names a NumPy type"],
    ["a mark that is not there", "t", "closes a mark that was never set"],
    ["more values than there are", "\x87", "takes more values than there are"],
    ["a memo that is empty", "h\x07", "recalls entry 7, which was never stored"],
    ["a whole number of many bytes", bytes("\x8a\xff", new Uint8Array(255)), "holds a whole number of 255 bytes"],
    ["nothing", "", "takes more values than there are"],
  ])("refuse %s", async (_, instructions, message) => {
    for (const open of [torchZip(pickle(instructions)), legacyFile(pickle(instructions))]) {
      const error = await openTensorFile(bytesSource(await open)).catch((caught: unknown) => caught);
      expect(error).toMatchObject({ name: "FileFormatError", message: expect.stringContaining(message) });
      expect((error as Error).message).not.toMatch(/\n/);
    }
  });

  it("refuse other protocols, cut off pickles and text that never ends", async () => {
    await expect(valuesOf(bytes("\x80\x06."))).rejects.toThrow("is of protocol 6");
    await expect(valuesOf(bytes("\x80\x02X", int(-1), "."))).rejects.toThrow("ends in the middle");
    await expect(valuesOf(bytes("\x80\x02cos"))).rejects.toThrow("ends in the middle");
    await expect(valuesOf(bytes("\x80\x02K\x01"))).rejects.toThrow("ends in the middle");
  });

  it("refuse containers that hold themselves, one in the other many times, or lie too deep", async () => {
    await expect(valuesOf(pickle("]q\x00h\x00a"))).rejects.toThrow("nested more than 100 deep, or hold themselves");
    await expect(valuesOf(pickle("}q\x00K\x01h\x00s"))).rejects.toThrow(
      "nested more than 100 deep, or hold themselves",
    );
    // Each list holds the one before ten times: 10^30 ways to its number.
    const laughs = `](${"K\x01".repeat(10)}e${`q\x000](${"h\x00".repeat(10)}e`.repeat(29)}`;
    await expect(valuesOf(pickle(laughs))).rejects.toThrow("more than 200000 values");
    await expect(valuesOf(pickle("N", "\x85".repeat(100_000)))).rejects.toThrow("nested more than 100 deep");
  });

  it("refuse to go through the same again and again", async () => {
    const pairs = bytes("](", bytes(...Array.from({ length: 2000 }, () => "]U\x01ka]a")), "e");
    const made = "ccollections\nOrderedDict\nh\x00\x85R0".repeat(2000);
    await expect(valuesOf(pickle(pairs, "q\x00", made))).rejects.toThrow("more than 1048576 instructions");
    const long = bytes(text("x".repeat(500_000)), "q\x00", `c_codecs\nencode\nh\x00U\x06latin1\x86R0`.repeat(2000));
    await expect(valuesOf(pickle(long))).rejects.toThrow("more than 1048576 instructions");
  });

  it("refuse lists of storages that are none", async () => {
    const file = (keys: string): Uint8Array =>
      bytes(legacyFile(pickle("N")).subarray(0, -pickle("](e").length), pickle(keys));
    for (const keys of ["N", "](]e", `N${"\x85".repeat(500_000)}`]) {
      await expect(openTensorFile(bytesSource(file(keys)))).rejects.toThrow("legacy: its list of storages is none");
    }
  });

  it("refuse a flood of instructions", async () => {
    await expect(valuesOf(pickle("]".repeat(1_100_000)))).rejects.toThrow("more than 1048576 instructions");
  });
});
