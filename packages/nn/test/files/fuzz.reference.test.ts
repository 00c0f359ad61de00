import { readFileSync } from "node:fs";
import { deflateRawSync } from "node:zlib";
import {
  bytesSource,
  FileFormatError,
  isStoredFloat,
  Rng,
  readTensor,
  storedEntry,
  writeSafetensors,
} from "@deplsr/tensor";
import { describe, expect, it } from "vitest";
import { openTensorFile } from "../../src/files/tensor-file.ts";
import { selectWeights } from "../../src/files/weights.ts";
import { bytes, dictionary, int, legacyFile, pickle, tensor, text, torchZip } from "./build.ts";
import { mutated } from "./mutate.ts";

/** More by hand: `DEPLSR_FUZZ=1000000`. */
const FILES = Number(process.env.DEPLSR_FUZZ ?? 10_000);
const LONGEST_MS = 5000;
const LARGEST_GROWTH = 300 * 2 ** 20;

const VALUES = Float32Array.from({ length: 24 }, (_, i) => i / 7);

/** A pickle of containers, views of a shared storage, integers and text. */
const PICKLE = pickle(
  dictionary({
    params: dictionary({
      "module.conv.weight": tensor({ size: 24, shape: [2, 3, 4], strides: [12, 4, 1] }),
      "module.conv.turned": tensor({ size: 24, shape: [4, 6], strides: [1, 4] }),
      "module.row": tensor({ size: 24, offset: 3, shape: [5, 4], strides: [0, 1] }),
    }),
    negated: tensor({ size: 24, shape: [3], strides: [2], more: dictionary({ neg: "\x88" }) }),
    small: tensor({ size: 24, shape: [8], strides: [1], version: 3, more: "ctorch\nfloat8_e5m2\n" }),
    args: bytes("cargparse\nNamespace\n)\x81", dictionary({ lr: int(1) }), "b"),
    optimizer: bytes("](", tensor({ type: "LongStorage", key: "1", size: 3, shape: [3], strides: [1] }), "K\x01e"),
    epoch: int(3),
    name: bytes(text("a run"), "q\x00h\x00\x86"),
  }),
);
const LONGS = BigInt64Array.of(1n, 2n, 3n);

const golden = (name: string): Uint8Array =>
  readFileSync(new URL(`../../../../../shared/golden/checkpoints/${name}`, import.meta.url));

/** An archive like `torchZip`'s whose entries are deflated. */
function deflatedZip(data: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  for (const [name, content] of [
    ["a/data.pkl", data],
    ["a/data/0", VALUES],
    ["a/data/1", LONGS],
  ] as const) {
    const packed = deflateRawSync(content);
    const sizes = new Uint8Array(Uint32Array.of(0, packed.length, content.byteLength, name.length).buffer);
    const numbers = bytes("\x14\x00\x00\x00\x08\x00\x00\x00\x00\x00", sizes);
    const place = new Uint8Array(Uint32Array.of(0, 0, 0, at).buffer).subarray(2);
    parts.push(bytes("PK\x03\x04", numbers, name, packed));
    directory.push(bytes("PK\x01\x02\x14\x00", numbers, place, name));
    at += parts.at(-1)!.length;
  }
  const names = bytes(...directory);
  const end = new Uint8Array(Uint32Array.of(0, 0x0003_0003, names.length, at).buffer);
  return bytes(...parts, names, "PK\x05\x06", end, "\x00\x00");
}

const script = bytes("c__torch__.net\nNet\n)\x81", PICKLE.subarray(2, -1), "b");

/** Valid files of each kind. */
const SEEDS: readonly Uint8Array[] = [
  await torchZip(PICKLE, { 0: VALUES, 1: LONGS }),
  await torchZip(pickle(script), { 0: VALUES, 1: LONGS }, { "archive/constants.pkl": pickle(")") }),
  legacyFile(PICKLE, { 0: [24, VALUES], 1: [3, LONGS] }),
  deflatedZip(PICKLE),
  writeSafetensors(
    [
      ["conv.weight", storedEntry(VALUES, [2, 12])],
      ["steps", storedEntry(LONGS, [3])],
      ["small", { dtype: "F8_E4M3", shape: [2, 3], bytes: Uint8Array.of(0, 1, 0x7e, 0x7f, 0x80, 0xff) }],
      ["scale", { dtype: "F8_E8M0", shape: [1], bytes: Uint8Array.of(127) }],
    ],
    { format: "pt" },
  ),
  golden("bare_state_dict_protocol4.pth"),
  golden("dtypes_views.pth"),
  golden("dtypes_views_legacy.pth"),
  golden("legacy_nonzip.pth"),
];

/** Where in a seed something can be changed that the rest of the file does not contradict: the pickle alone. */
const WRAPPERS: readonly ((data: Uint8Array) => Uint8Array | Promise<Uint8Array>)[] = [
  (data) => torchZip(data, { 0: VALUES, 1: LONGS }),
  (data) => torchZip(data, { 0: VALUES, 1: LONGS }, { "archive/constants.pkl": pickle(")") }),
  (data) => legacyFile(data, { 0: [24, VALUES], 1: [3, LONGS] }),
  deflatedZip,
];

async function damagedFile(rng: Rng): Promise<Uint8Array> {
  const seed = SEEDS[rng.integer(SEEDS.length)]!;
  const other = SEEDS[rng.integer(SEEDS.length)]!;
  if (rng.uniform() < 0.5) return mutated(seed, rng, other);
  const wrap = WRAPPERS[rng.integer(WRAPPERS.length)]!;
  return wrap(mutated(rng.uniform() < 0.3 ? pickle(script) : PICKLE, rng, PICKLE));
}

/** Opens a file and reads everything in it. @returns why that ended early */
async function problemOf(file: Uint8Array): Promise<unknown> {
  try {
    const opened = await openTensorFile(bytesSource(file));
    for (const one of opened.tensors.values()) {
      const { dtype, toFloat32 } = await readTensor(one);
      if (isStoredFloat(dtype)) toFloat32();
    }
    selectWeights(opened);
    return undefined;
  } catch (error) {
    return error;
  }
}

describe("damaged files", () => {
  it("are whole before they are damaged", async () => {
    for (const seed of SEEDS) expect(await problemOf(seed)).toBeUndefined();
  });

  it("with a long header too", async () => {
    const rng = new Rng(20_250_301);
    const seed = writeSafetensors([["w", storedEntry(VALUES, [24])]], { note: "x".repeat(11_000_000) });
    expect(await problemOf(seed)).toBeUndefined();
    for (let i = 0; i < 30; i++) {
      const problem = await problemOf(mutated(seed, rng, SEEDS[0]!));
      if (problem === undefined) continue;
      expect(problem).toBeInstanceOf(FileFormatError);
      expect((problem as Error).message).toMatch(/^[^\n]{10,800}$/);
    }
  });

  it(`of ${FILES} each is read or ends in one clear error, in bounded time and memory`, async () => {
    const rng = new Rng(20_241_126);
    const before = process.memoryUsage().rss;
    let [refused, longest, largest] = [0, 0, 0];
    for (let i = 0; i < FILES; i++) {
      const file = await damagedFile(rng);
      const started = performance.now();
      const problem = await problemOf(file);
      longest = Math.max(longest, performance.now() - started);
      largest = Math.max(largest, process.memoryUsage.rss() - before);
      if (problem === undefined) continue;
      refused++;
      if (!(problem instanceof FileFormatError) || !/^[^\n]{10,800}$/.test(problem.message)) {
        throw new Error(`file ${i} ended in ${String(problem)}`, { cause: problem });
      }
    }
    expect(longest).toBeLessThan(LONGEST_MS);
    expect(largest).toBeLessThan(LARGEST_GROWTH);
    // Neither all nor none: the damage reaches the readers, and does not stop at their doors.
    expect(refused / FILES).toBeGreaterThan(0.4);
    expect(refused / FILES).toBeLessThan(0.95);
    console.info(
      `${FILES} files, ${refused} refused, longest ${longest.toFixed()} ms, memory +${(largest / 2 ** 20).toFixed()} MiB`,
    );
  });
});
