import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Rng } from "@deplsr/tensor";
import { describe, expect, it } from "vitest";
import { buildVocabulary, clipVocabulary, parseMerges, Tokenizer } from "../src/index.ts";

const tokenizer = new Tokenizer();

function encoded(text: string): string {
  return tokenizer.encode(text).join(" ");
}

describe("clipVocabulary", () => {
  it("has the sizes and the special tokens of CLIP", () => {
    const { size, startOfText, endOfText, ranks } = clipVocabulary();
    expect({ size, startOfText, endOfText, merges: ranks.size }).toEqual({
      size: 49408,
      startOfText: 49406,
      endOfText: 49407,
      merges: 48894,
    });
  });

  it("numbers printable bytes before the others", () => {
    const { byteIds } = clipVocabulary();
    expect([0x21, 0x22, 0x7e, 0xa1, 0xff, 0, 0xad].map((byte) => byteIds[byte])).toEqual([0, 1, 93, 94, 187, 188, 255]);
  });
});

describe("buildVocabulary", () => {
  it("names a merge of unknown symbols", () => {
    expect(() => buildVocabulary(["i n", "in g", "xy z"])).toThrow('vocabulary: merge 2 ("xy z") joins symbols');
  });

  it("reads merges from a file with a header", () => {
    const merges = parseMerges("#version: 0.2\ni n\nt h\nleft over\n", 2);
    expect(merges).toEqual(["i n", "t h"]);
    expect(buildVocabulary(merges).size).toBe(512 + 2 + 2);
  });
});

describe("Tokenizer.encode", () => {
  it.each([
    ["A photo with blur with sigma:1.5", "320 1125 593 27976 593 15697 281 272 269 276"],
    ["gaussian noise with sigma:15", "5919 31218 9307 593 15697 281 272 276"],
    ["poisson noise with scale:2.0", "17008 825 9307 593 5879 281 273 269 271"],
    ["jpeg with quality factor:70", "73 11207 593 3027 8124 281 278 271"],
    ["no ringing and overshoot artifacts", "871 26035 537 1658 3704 30249"],
    [
      "Hello,   WORLD! it's 2025 naïve café 北京",
      "3306 267 1002 256 585 568 273 271 273 276 1097 35689 563 15304 161 234 245 21078 361",
    ],
    ["a photo of a cat", "320 1125 539 320 2368"],
    [
      "blur with sigma:1.2,gaussian noise with sigma:12.3,jpeg with quality factor:55.0,ringing and overshoot artifacts",
      "27976 593 15697 281 272 269 273 267 5919 31218 9307 593 15697 281 272 273 269 274 267 73 11207 593 3027 8124 281 276 276 269 271 267 26035 537 1658 3704 30249",
    ],
  ])("gives the reference's ids of %j", (text, ids) => {
    expect(encoded(text)).toBe(ids);
  });

  it("treats names of object properties as words", () => {
    for (const word of ["constructor", "toString", "__proto__", "hasOwnProperty"]) {
      expect(tokenizer.decode(tokenizer.encode(word)).replaceAll(" ", "")).toBe(word.toLowerCase());
    }
  });

  it("takes any string, lone surrogates included", () => {
    expect(encoded("\ud800")).toBe(encoded("\ufffd"));
    expect(encoded("")).toBe("");
    expect(encoded("\u0000\uffff")).not.toBe("");
  });

  it("drops a combining iota, which the reference's pieces have no place for", () => {
    expect(encoded("\u0345 z\u0345a")).toBe(encoded("z a"));
  });

  it("knows the special tokens", () => {
    expect(encoded("<start_of_text> hi <END_OF_TEXT>")).toBe(`49406 ${encoded("hi")} 49407`);
  });
});

describe("Tokenizer.tokenize", () => {
  it("frames a text and pads with zeros", () => {
    expect([...tokenizer.tokenize(["a"]).slice(0, 5)]).toEqual([49406, 320, 49407, 0, 0]);
    expect(tokenizer.tokenize(["", "a cat"], 5)).toEqual(
      Int32Array.of(49406, 49407, 0, 0, 0, 49406, 320, 2368, 49407, 0),
    );
  });

  it("cuts a long text and ends it", () => {
    const ids = tokenizer.tokenize(["word ".repeat(100)]);
    expect([ids.length, ids[0], ids[75], ids[76]]).toEqual([77, 49406, 2653, 49407]);
  });

  it("refuses a context without room for start and end", () => {
    expect(() => tokenizer.tokenize(["a"], 1)).toThrow("tokenize: context length 1 must be at least 2");
  });
});

/** Characters to make strings of: ASCII, Latin-1, marks, right to left, emoji and what joins them, surrogates, anything. */
const ALPHABETS: readonly ((rng: Rng) => string)[] = [
  (rng) => String.fromCharCode(rng.integer(128)),
  (rng) => String.fromCharCode(0x80 + rng.integer(128)),
  (rng) => String.fromCharCode(0x300 + rng.integer(0x70)),
  (rng) => String.fromCharCode(0x590 + rng.integer(0x200)),
  (rng) => ["\u{1f469}", "\u200d", "\ufe0f", "\u{1f3fd}", "\u{1f1e9}", "❤"][rng.integer(6)]!,
  (rng) => String.fromCharCode(0xd800 + rng.integer(0x800)),
  (rng) => String.fromCharCode(rng.integer(0x10000)),
  (rng) => String.fromCodePoint(rng.integer(0x110000)),
  (rng) => ["&amp;", "&#", "x26;", "<end_of_text>", "Ã©", "â€", "\n", "'s", "1"][rng.integer(9)]!,
];

function randomText(rng: Rng): string {
  const alphabets = rng.uniform() < 0.5 ? ALPHABETS : [ALPHABETS[rng.integer(ALPHABETS.length)]!];
  return Array.from({ length: rng.integer(120) }, () => alphabets[rng.integer(alphabets.length)]!(rng)).join("");
}

/** A row is start, ids, end, zeros. */
function expectRow(text: string): void {
  const row = [...tokenizer.tokenize([text])];
  const end = row.lastIndexOf(49407);
  const right =
    row.length === 77 &&
    row[0] === 49406 &&
    end > 0 &&
    row.every((id, i) => Number.isInteger(id) && id >= 0 && id <= 49407 && (i <= end || id === 0));
  expect(right, JSON.stringify(text.slice(0, 200))).toBe(true);
}

describe("any string", () => {
  it("gives 77 ids from start to end", () => {
    const rng = new Rng(77);
    for (let i = 0; i < 1000; i++) expectRow(randomText(rng));
  });

  it("takes time in proportion to its length", { timeout: 20_000 }, () => {
    const rng = new Rng(78);
    const length = 2 ** 16;
    const letters = Array.from({ length }, () => String.fromCharCode(97 + rng.integer(26))).join("");
    const texts = [
      letters,
      "a",
      "😀",
      "e\u0301",
      "Ã©",
      "â€",
      "&amp;",
      "&",
      "\n",
      "\x1b[",
      "\ud800",
      `&${"amp;".repeat(99)}`,
    ];
    for (const text of texts) expectRow(text.repeat(Math.ceil(length / text.length)));
  });
});

describe("Tokenizer.decode", () => {
  it("gives the cleaned words back", () => {
    const ids = tokenizer.tokenize(["Naïve   CAFÉ 北京 😀"]);
    expect(tokenizer.decode(ids)).toBe("naïve café 北京 😀");
  });

  it("refuses a word that is not among those of a text tower, by name", () => {
    const known = tokenizer.encode("a photo with gaussian noise");
    const small = new Tokenizer(undefined, known);
    expect(small.encode("Noise with a photo")).toEqual(tokenizer.encode("noise with a photo"));
    expect(() => small.encode("a photo of noise")).toThrow(
      'tokenize: "of" in "a photo of noise" is no word that this model has learned',
    );
  });

  it("names a token that does not exist", () => {
    expect(() => tokenizer.decode([60_000])).toThrow("decode: there is no token 60000");
  });
});

// The reference's ids of further texts, where the folders with the project's test data are there.
interface ReferenceText {
  readonly text: string;
  readonly ids: readonly number[];
}

function referenceTexts(path: string): unknown {
  const file = fileURLToPath(new URL(`../../../../shared/${path}`, import.meta.url));
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : null;
}

const short = referenceTexts("data/clip_vocab/tokenizer_reference.json") as ReferenceText[] | null;
if (short) {
  it.each(short)("gives the reference's ids of $text", ({ text, ids }) => {
    expect(tokenizer.encode(text)).toEqual(ids);
  });
}

const golden = referenceTexts("golden/clip/tokenizer.json") as { readonly cases: ReferenceText[] } | null;
if (golden) {
  it.each(golden.cases)("gives the reference's row of $text", ({ text, ids }) => {
    expect([...tokenizer.tokenize([text])]).toEqual(ids);
  });
}
