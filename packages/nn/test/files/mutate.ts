import type { Rng } from "@deplsr/tensor";
import { bytes } from "./build.ts";

/** Damages files in the ways in which files are damaged, by accident or on purpose. Every change follows from the seed. */

function pick<T>(rng: Rng, items: readonly T[]): T {
  return items[rng.integer(items.length)]!;
}

function randomBytes(rng: Rng, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, () => rng.integer(256));
}

/** The bytes before, what replaces the range, and the bytes after it. */
function replaced(file: Uint8Array, from: number, to: number, by: Uint8Array | string): Uint8Array {
  return bytes(file.subarray(0, from), by, file.subarray(Math.max(from, to)));
}

function range(rng: Rng, file: Uint8Array, longest = 64): [from: number, to: number] {
  const from = rng.integer(file.length + 1);
  return [from, Math.min(file.length, from + rng.integer(longest))];
}

/** A place where such a byte is, if there is one. */
function place(file: Uint8Array, rng: Rng, wanted: (byte: number) => boolean): number {
  const start = rng.integer(file.length);
  const found = file.findIndex((byte, i) => i >= start && wanted(byte));
  return Math.max(0, found < 0 ? file.findIndex(wanted) : found);
}

/** Numbers at which something ends: counts, lengths and offsets of files are set to them. */
const EDGES = [
  0,
  1,
  2,
  0x7f,
  0x80,
  0xff,
  0xffff,
  2 ** 24,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 53,
  2 ** 63,
];

/** Instructions of pickles that recall, repeat, nest, call and set. */
const INSTRUCTIONS = [
  "h\x00",
  "h\x01",
  "r\xff\xff\xff\xff",
  "j\xff\xff\xff\x7f",
  "a",
  "e",
  "s",
  "u",
  "b",
  "R",
  "Q",
  "\x81",
  "t",
];
const PUSHES = ["(", "]", "}", ")", "N", "K\x00", "q\x00", "\x94", "\x85", "\x86", "\x87", "0", ".", "\x80\x02"];
const CALLS = ["cos\nsystem\n", "c__builtin__\neval\n", "\x8c\x05posix\x8c\x06system\x93", "ctorch\nFloatStorage\n"];
const LOOPS = ["]q\x00h\x00a", "}q\x00K\x00h\x00s", "]q\x00(h\x00h\x00h\x00h\x00e", "(h\x00h\x00t"];

const CHANGES: readonly ((file: Uint8Array, rng: Rng, other: Uint8Array) => Uint8Array)[] = [
  function flipBits(file, rng) {
    const copy = file.slice();
    for (let i = rng.integer(8); i >= 0; i--) copy[rng.integer(copy.length)]! ^= 1 << rng.integer(8);
    return copy;
  },
  function overwrite(file, rng) {
    const [from, to] = range(rng, file);
    return replaced(file, from, to, randomBytes(rng, to - from));
  },
  function truncate(file, rng) {
    return file.subarray(0, rng.integer(file.length));
  },
  function cutOut(file, rng) {
    const [from, to] = range(rng, file, 1000);
    return replaced(file, from, to, "");
  },
  function append(file, rng) {
    return bytes(file, randomBytes(rng, rng.integer(200)));
  },
  function splice(file, rng, other) {
    const [from, to] = range(rng, other, 1000);
    return replaced(file, ...range(rng, file, 1000), other.subarray(from, to));
  },
  function setNumber(file, rng) {
    const width = pick(rng, [1, 2, 4, 8]);
    const value = BigInt(pick(rng, [...EDGES, file.length, rng.integer(2 * file.length)]));
    const from = rng.integer(Math.max(1, file.length - width));
    return replaced(file, from, from + width, new Uint8Array(BigUint64Array.of(value).buffer).subarray(0, width));
  },
  function recount(file, rng) {
    // A whole number of a pickle (BININT), or a digit of a header.
    const from = place(file, rng, (byte) => byte === 0x4a);
    const edge = new Uint8Array(BigUint64Array.of(BigInt(pick(rng, EDGES))).buffer).subarray(0, 4);
    return replaced(
      file,
      from + 1,
      from + 5,
      rng.uniform() < 0.5 ? edge : bytes(String.fromCharCode(rng.integer(9)), "\0\0\0"),
    );
  },
  function redigit(file, rng) {
    const from = place(file, rng, (byte) => byte >= 0x30 && byte <= 0x39);
    return replaced(file, from, from + 1, pick(rng, ["0", "1", "4", "8", "9", "99999999", "-1", "0.5", "1e300", "[]"]));
  },
  function instruct(file, rng) {
    const from = rng.integer(file.length);
    const instruction = pick(rng, [...INSTRUCTIONS, ...PUSHES, ...CALLS, ...LOOPS]);
    return replaced(file, from, from + pick(rng, [0, instruction.length]), instruction);
  },
  function repeat(file, rng) {
    const from = rng.integer(file.length);
    return replaced(file, from, from, pick(rng, PUSHES).repeat(rng.integer(2000)));
  },
];

/** The file with a change, or a few; `other` is what pieces are taken from. */
export function mutated(file: Uint8Array, rng: Rng, other: Uint8Array): Uint8Array {
  let result = file;
  do result = pick(rng, CHANGES)(result, rng, other);
  while (result.length > 0 && rng.uniform() < 0.25);
  return result;
}
