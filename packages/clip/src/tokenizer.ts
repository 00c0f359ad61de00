import type { Device, Tensor } from "@deplsr/tensor";
import { mergePairs } from "./byte-pair.ts";
import { cleanText } from "./clean.ts";
import { clipVocabulary, type Vocabulary } from "./vocabulary.ts";

/** Tokens of one text in the published CLIP models. */
export const CONTEXT_LENGTH = 77;

const START = "<start_of_text>";
const END = "<end_of_text>";

/**
 * The pieces that are encoded on their own: the two special tokens, English contractions, words, single digits, the rest. The
 * reference ignores case, where a combining iota is a letter, but not one of words: it falls through.
 */
// biome-ignore lint/suspicious/noMisleadingCharacterClass: the iota stands for itself
const PIECES = /<[sſ]tart_of_text>|<end_of_text>|'[sſ]|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^ \u0345\p{L}\p{N}]+/gu;

/** Encoded pieces that are remembered, and the length of the longest among them. */
const CACHE_SIZE = 65_536;
const CACHED_LENGTH = 64;

/**
 * The byte-pair tokenizer of CLIP: text is cleaned (`cleanText`), split into pieces, and each of them encoded. Takes any string;
 * lone surrogates count as U+FFFD.
 *
 * @see https://arxiv.org/abs/2103.00020 section 2.4
 */
export class Tokenizer {
  readonly vocabulary: Vocabulary;
  /** The only ids that may come out; null for all. */
  readonly #only: ReadonlySet<number> | null;
  private readonly cache = new Map<string, readonly number[]>();
  private readonly utf8 = new TextEncoder();

  /** @param only the ids that a text tower has vectors for (`TextConfig.tokens`); another word is refused by name */
  constructor(vocabulary: Vocabulary = clipVocabulary(), only?: readonly number[]) {
    this.vocabulary = vocabulary;
    this.#only = only ? new Set(only) : null;
  }

  /**
   * Ids of a text without the start and end tokens; stops once there are at least `limit` of them.
   * @throws RangeError naming a word that is not among those of the text tower
   */
  encode(text: string, limit = Number.POSITIVE_INFINITY): number[] {
    const ids: number[] = [];
    for (const [piece] of cleanText(text).matchAll(PIECES)) {
      for (const id of this.encodePiece(piece)) {
        if (this.#only && !this.#only.has(id)) {
          throw new RangeError(
            `tokenize: ${JSON.stringify(piece)} in ${JSON.stringify(text)} is no word that this model has learned: it knows those of its captions and prompts`,
          );
        }
        ids.push(id);
      }
      if (ids.length >= limit) break;
    }
    return ids;
  }

  /**
   * Rows of `contextLength` ids, one after the other: start, text, end, zeros. A text that is too long is cut and still
   * ends with the end token.
   */
  tokenize(texts: readonly string[], contextLength: number = CONTEXT_LENGTH): Int32Array {
    if (!(contextLength >= 2)) throw new RangeError(`tokenize: context length ${contextLength} must be at least 2`);
    const { startOfText, endOfText } = this.vocabulary;
    const rows = new Int32Array(texts.length * contextLength);
    for (const [index, text] of texts.entries()) {
      const ids = this.encode(text, contextLength).slice(0, contextLength - 2);
      rows.set([startOfText, ...ids, endOfText], index * contextLength);
    }
    return rows;
  }

  /** As `tokenize`, on a device: i32 (texts, contextLength). */
  tensor(device: Device, texts: readonly string[], contextLength: number = CONTEXT_LENGTH): Tensor {
    return device.tensor(this.tokenize(texts, contextLength), [texts.length, contextLength], { dtype: "i32" });
  }

  /** The cleaned text that ids stand for, words separated by spaces; start, end and what follows the end are left out. */
  decode(ids: Iterable<number>): string {
    const { startOfText, endOfText, symbols } = this.vocabulary;
    const bytes: number[] = [];
    for (const id of ids) {
      if (id === endOfText) break;
      if (id === startOfText) continue;
      const symbol = symbols[id];
      if (!symbol) throw new RangeError(`decode: there is no token ${id}; ids are 0 to ${endOfText}`);
      bytes.push(...symbol.bytes);
      if (symbol.endsWord) bytes.push(0x20);
    }
    return new TextDecoder().decode(Uint8Array.from(bytes)).trimEnd();
  }

  private encodePiece(piece: string): readonly number[] {
    if (piece === START) return [this.vocabulary.startOfText];
    if (piece === END) return [this.vocabulary.endOfText];
    const known = this.cache.get(piece);
    if (known) return known;
    const { byteIds, ranks } = this.vocabulary;
    const symbols = Array.from(this.utf8.encode(piece), (byte) => byteIds[byte]!);
    symbols.push(symbols.pop()! + 256);
    const ids = mergePairs(symbols, ranks);
    if (piece.length > CACHED_LENGTH) return ids;
    if (this.cache.size >= CACHE_SIZE) this.cache.clear();
    this.cache.set(piece, ids);
    return ids;
  }
}
