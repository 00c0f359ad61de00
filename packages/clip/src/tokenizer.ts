import type { Device, Tensor } from "@deplsr/tensor";
import { cleanText } from "./clean.ts";
import { clipVocabulary, pairKey, type Vocabulary } from "./vocabulary.ts";

/** Tokens of one text in the published CLIP models. */
export const CONTEXT_LENGTH = 77;

const START = "<start_of_text>";
const END = "<end_of_text>";

/** The pieces that are encoded on their own: the two special tokens, English contractions, words, single digits, the rest. */
const PIECES = /<[sſ]tart_of_text>|<end_of_text>|'[sſ]|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^ \p{L}\p{N}]+/gu;

/** Encoded pieces that are remembered. */
const CACHE_SIZE = 65_536;

/**
 * The byte-pair tokenizer of CLIP. Takes any string; lone surrogates count as U+FFFD.
 *
 * @see https://arxiv.org/abs/2103.00020 section 2.4, and https://arxiv.org/abs/1508.07909 for byte-pair encoding
 */
export class Tokenizer {
  readonly vocabulary: Vocabulary;
  private readonly cache = new Map<string, readonly number[]>();
  private readonly utf8 = new TextEncoder();

  constructor(vocabulary: Vocabulary = clipVocabulary()) {
    this.vocabulary = vocabulary;
  }

  /** Ids of a text without the start and end tokens; stops once there are at least `limit` of them. */
  encode(text: string, limit = Number.POSITIVE_INFINITY): number[] {
    const ids: number[] = [];
    for (const [piece] of cleanText(text).matchAll(PIECES)) {
      for (const id of this.encodePiece(piece)) ids.push(id);
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
    const ids = this.merge(piece);
    if (this.cache.size >= CACHE_SIZE) this.cache.clear();
    this.cache.set(piece, ids);
    return ids;
  }

  /** From single bytes on, joins all occurrences of the pair with the lowest rank until no pair is known. */
  private merge(piece: string): number[] {
    const { byteIds, ranks } = this.vocabulary;
    let ids = Array.from(this.utf8.encode(piece), (byte) => byteIds[byte]!);
    ids.push(ids.pop()! + 256);
    for (;;) {
      let best = Number.POSITIVE_INFINITY;
      for (let i = 0; i + 1 < ids.length; i++) {
        best = Math.min(best, ranks.get(pairKey(ids[i]!, ids[i + 1]!)) ?? Number.POSITIVE_INFINITY);
      }
      if (best === Number.POSITIVE_INFINITY) return ids;
      const merged: number[] = [];
      for (let i = 0; i < ids.length; i++) {
        const joins = i + 1 < ids.length && ranks.get(pairKey(ids[i]!, ids[i + 1]!)) === best;
        merged.push(joins ? 512 + best : ids[i]!);
        if (joins) i++;
      }
      ids = merged;
    }
  }
}
