/** Pickles of every protocol: what they hold is read, and what they ask for is named. */
import { bytesSource, readTensor } from "@deplsr/tensor";
import { describe, expect, it } from "vitest";
import { openTensorFile } from "../../src/files/tensor-file.ts";
import { bytes, legacyFile, torchZip } from "./build.ts";
import { Call, Instance, Made, Name, Persistent, pickled, Tuple, tensorOf, type Value } from "./pickle-writer.ts";

const PROTOCOLS = [0, 1, 2, 3, 4, 5];
const FOUR = Float32Array.of(1, 2, 3, 4);

const open = async (file: Uint8Array | Promise<Uint8Array>) => openTensorFile(bytesSource(await file));

describe.each(PROTOCOLS)("protocol %i", (protocol) => {
  it("gives numbers, text and containers", async () => {
    const value: Value = {
      none: null,
      yes: true,
      no: false,
      int: -7,
      long: 2 ** 40,
      float: -1.5e-7,
      text: "a'\\ \n\u20ac \u00e4",
      list: [1, [2, 3]],
      tuple: new Tuple(4, new Tuple(), new Tuple(5, 6, 7, 8)),
      ordered: new Call("collections.OrderedDict"),
    };
    const { values } = await open(torchZip(pickled(value, protocol)));
    expect(Object.fromEntries(values)).toEqual({
      none: null,
      yes: true,
      no: false,
      int: -7,
      long: 2 ** 40,
      float: -1.5e-7,
      text: "a'\\ \n\u20ac \u00e4",
      "list/0": 1,
      "list/1/0": 2,
      "list/1/1": 3,
      "tuple/0": 4,
      "tuple/2/0": 5,
      "tuple/2/1": 6,
      "tuple/2/2": 7,
      "tuple/2/3": 8,
    });
  });

  it("leaves objects beside the data out, and never makes them", async () => {
    const value: Value = {
      epoch: 3,
      args: new Made("argparse.Namespace", { lr: 0.1, out: new Call("mine.path", "/") }),
      path: new Call("pathlib.PosixPath", "/", "home"),
      when: new Call("datetime.timedelta", 1, 2, 3),
      rng: new Call("numpy.core.multiarray._reconstruct", new Name("numpy.ndarray"), new Tuple(0), "b"),
    };
    const { objects, values } = await open(torchZip(pickled(value, protocol)));
    expect(Object.fromEntries(objects)).toEqual({
      args: "argparse.Namespace",
      path: "pathlib.PosixPath",
      when: "datetime.timedelta",
      rng: "numpy.ndarray",
    });
    expect(Object.fromEntries(values)).toEqual({ epoch: 3 });
  });

  it.each<[string, Value, string]>([
    ["a function", new Call("os.system", "id"), "os.system"],
    ["a function in a dictionary", { w: 1, x: [new Call("posix.system", "id")] }, "posix.system"],
    ["an old object", { x: new Instance("os.system", "id") }, "os.system"],
    ["an old object without arguments", new Instance("os.abort"), "os.abort"],
    ["a class that is called", { x: new Call("subprocess.Popen", ["id"]) }, "subprocess.Popen"],
  ])("refuses %s by its name, in an archive, in an old file, and alone", async (_, value, name) => {
    const data = pickled(value, protocol);
    for (const file of [torchZip(data), legacyFile(data), data]) {
      await expect(open(file)).rejects.toThrow(
        `pickle: asks for "${name}", which is refused: only dense tensors, containers and numbers are read`,
      );
    }
  });
});

it.each(PROTOCOLS.slice(1))("protocol %i holds tensors beside foreign objects", async (protocol) => {
  const value: Value = {
    state_dict: { w: tensorOf("0", [2, 2]) },
    hyper_parameters: new Made("mine.Config", { lr: 0.1 }),
  };
  const data = pickled(value, protocol);
  for (const file of [torchZip(data, { 0: FOUR }), legacyFile(data, { 0: [4, FOUR] })]) {
    const { tensors } = await open(file);
    expect([...tensors.keys()]).toEqual(["state_dict/w"]);
    expect([...(await readTensor(tensors.get("state_dict/w")!)).toFloat32()]).toEqual([1, 2, 3, 4]);
  }
});

describe("protocol 0", () => {
  it("refers to storages by text, which no checkpoint does", async () => {
    const file = torchZip(pickled({ w: new Persistent("('storage', 0)") }, 0));
    await expect(open(file)).rejects.toThrow("pickle: refers to something else than a storage");
  });

  it("is read to its end in a file of torch.save that is text throughout", async () => {
    const header = "L119547037146038801333356L\n.I1001\n.(dp0\nS'little_endian'\nI01\ns.";
    const { format, values } = await open(bytes(header, pickled({ epoch: 7 }, 0), pickled([], 0)));
    expect(format).toBe("PyTorch legacy");
    expect(Object.fromEntries(values)).toEqual({ epoch: 7 });
  });

  it.each<[string, string, string | number | boolean | null]>([
    ["Python 2's quotes", `S'it\\'s \\x41\\102\\n\\\\'\n`, "it's AB\n\\"],
    ["double quotes", `S"it's"\n`, "it's"],
    ["text beyond 16 bits", "V\\U0001f600\\u00e4\n", "\u{1f600}\u00e4"],
    ["an infinity", "F-inf\n", Number.NEGATIVE_INFINITY],
    ["a long one", "L-12L\n", -12],
    ["a value that is dropped", "I1\n(I2\nI3\n10", null],
    ["a value twice", "I5\n20", 5],
    ["a dictionary at once", "(S'a'\nI1\nd0I9\n", 9],
    ["the memo", "I6\np3\n0g3\n", 6],
  ])("reads %s", async (_, instructions, expected) => {
    const data = bytes("(d", "S'x'\n", expected === null ? "N" : instructions, "s.");
    expect((await open(torchZip(data))).values.get("x")).toBe(expected);
  });

  it.each([
    ["S'a\n", "holds text without quotes"],
    ["Ix\n", "holds a whole number that is none"],
    ["Fx\n", "holds a number that is none"],
    ["F\n", "holds a number that is none"],
    ["V\\Uffffffff\n", "holds text with a character that is none"],
    ["gx\n", "numbers an entry of its memo by something else than digits"],
    ["\x97", "refers to a buffer outside of the file"],
    ["K\x01K\x02(o", "calls what is no function"],
  ])("refuses %j", async (instructions, message) => {
    await expect(open(torchZip(bytes(instructions, ".")))).rejects.toThrow(message);
  });

  it("is not seen in a file that merely begins like one", async () => {
    for (const text of ["(c) 2024 somebody", "import torch\n", "}", "Numbers: 1, 2, 3.\n"]) {
      await expect(open(bytes(text))).rejects.toThrow("this is neither a PyTorch file");
    }
  });
});
