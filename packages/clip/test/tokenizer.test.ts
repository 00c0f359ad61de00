import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
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

  it("keeps a byte order mark, which is no white space to the reference", () => {
    expect(encoded("\ufeffBOM start")).toBe("171 119 379 19469 1572");
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

describe("Tokenizer.decode", () => {
  it("gives the cleaned words back", () => {
    const ids = tokenizer.tokenize(["Naïve   CAFÉ 北京 😀"]);
    expect(tokenizer.decode(ids)).toBe("naïve café 北京 😀");
  });

  it("names a token that does not exist", () => {
    expect(() => tokenizer.decode([60_000])).toThrow("decode: there is no token 60000");
  });
});

// The reference's ids of further texts, where the folder with the project's test data is there.
const reference = fileURLToPath(
  new URL("../../../../shared/data/clip_vocab/tokenizer_reference.json", import.meta.url),
);

interface ReferenceText {
  readonly text: string;
  readonly ids: readonly number[];
  readonly ctx77: readonly number[];
  readonly needs_ftfy: boolean;
  readonly ids_without_ftfy: readonly number[];
  readonly ctx77_without_ftfy: readonly number[];
}

if (existsSync(reference)) {
  describe("the reference's texts", () => {
    const texts = JSON.parse(readFileSync(reference, "utf8")) as ReferenceText[];
    it.each(texts)("$text", (row) => {
      const accepted = row.needs_ftfy ? [row.ids, row.ids_without_ftfy] : [row.ids];
      const framed = row.needs_ftfy ? [row.ctx77, row.ctx77_without_ftfy] : [row.ctx77];
      expect(accepted.map(String)).toContain(String(tokenizer.encode(row.text)));
      expect(framed.map(String)).toContain(String(tokenizer.tokenize([row.text])));
    });
  });
}
