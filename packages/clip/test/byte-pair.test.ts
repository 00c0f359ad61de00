import { Rng } from "@deplsr/tensor";
import { describe, expect, it } from "vitest";
import { mergePairs } from "../src/byte-pair.ts";
import { clipVocabulary } from "../src/index.ts";
import { pairKey } from "../src/vocabulary.ts";

const { byteIds, ranks } = clipVocabulary();

/** The definition: all occurrences of the lowest pair are joined from left to right, until none is known. */
function byDefinition(symbols: readonly number[]): number[] {
  const rank = (i: number): number => ranks.get(pairKey(symbols[i]!, symbols[i + 1]!)) ?? Number.POSITIVE_INFINITY;
  const best = Math.min(...symbols.map((_, i) => (i + 1 < symbols.length ? rank(i) : Number.POSITIVE_INFINITY)));
  if (best === Number.POSITIVE_INFINITY) return [...symbols];
  const merged: number[] = [];
  for (let i = 0; i < symbols.length; i++) {
    const joins = i + 1 < symbols.length && rank(i) === best;
    merged.push(joins ? 512 + best : symbols[i]!);
    if (joins) i++;
  }
  return byDefinition(merged);
}

describe("mergePairs", () => {
  it.each(["aeinorst", "ae", "lo!.", "\xe3\x81\xff"])("follows the definition for words of %j", (letters) => {
    const rng = new Rng(letters.length);
    for (let i = 0; i < 100; i++) {
      const word = Array.from({ length: 1 + rng.integer(40) }, () => letters.charCodeAt(rng.integer(letters.length)));
      const symbols = word.map((byte, at) => byteIds[byte]! + (at === word.length - 1 ? 256 : 0));
      expect(mergePairs(symbols, ranks)).toEqual(byDefinition(symbols));
    }
  });
});
