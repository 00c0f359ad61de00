import { isBad } from "./badness.ts";
import { codePages, encodeWith, WINDOWS_1252 } from "./code-page.ts";

/**
 * Repairs text whose UTF-8 was decoded in another encoding ("sch√∂n" or "schÃ¶n" for "schön"), as often as that happened to it,
 * as a whole or in parts. Text that does not look like it is left alone.
 *
 * @see https://ftfy.readthedocs.io/en/latest/heuristic.html
 */
export function fixEncoding(text: string): string {
  return untilStable(text, fixEncodingOnce);
}

/** Repeats a repair until nothing changes, but ten times at most: text that was damaged more often was made to be. */
export function untilStable(text: string, repair: (text: string) => string): string {
  let current = text;
  for (let round = 0; round < 10; round++) {
    const next = repair(current);
    if (next === current) break;
    current = next;
  }
  return current;
}

function fixEncodingOnce(text: string): string {
  if (!isBad(text)) return text;
  for (const page of codePages()) {
    const encoded = encodeWith(page, text);
    if (encoded === null) continue;
    // In MacRoman an en dash before a space would look like a lost byte.
    const spaced = page.name === "macintosh" ? encoded : restoreNoBreakSpaces(encoded);
    const decoded = decodeUtf8(page.sloppy ? spaced.replace(LOST_BYTES, "\xef\xbf\xbd") : spaced);
    if (decoded !== null) return decoded;
  }
  const parts = text.replace(utf8Lookalikes(), (part) =>
    part.length < text.length && isBad(part) ? fixEncoding(part) : part,
  );
  return parts === text ? fixControls(text) : parts;
}

/** Characters U+0080 to U+009F, which nobody means, as Windows-1252. */
export function fixControls(text: string): string {
  return text.replace(/[\x80-\x9f]/g, (character) => WINDOWS_1252[character.charCodeAt(0) - 0x80]!);
}

/** Sequences of UTF-8 in which a no-break space, 0xA0, has become a space; only those that stand for likely characters. */
const SPACED_UTF8 = new RegExp(
  [
    "[\xc2\xc3\xc5\xce\xd0\xd9] ",
    "[\xe2\xe3] [\x80-\x84\x86-\x9f\xa1-\xbf]",
    "[\xe0-\xe3][\x80-\x84\x86-\x9f\xa1-\xbf] ",
    "\xf0 [\x80-\xbf][\x80-\xbf]",
    "\xf0[\x80-\xbf] [\x80-\xbf]",
    "\xf0[\x80-\xbf][\x80-\xbf] ",
  ].join("|"),
  "g",
);

function restoreNoBreakSpaces(bytes: string): string {
  // "à" as a word of its own keeps the space behind it; Portuguese has longer words that begin so.
  const words = bytes.replace(/\xc3 (?! |quele|quela|quilo|s )/g, "\xc3\xa0 ");
  return words.replace(SPACED_UTF8, (sequence) => sequence.replace(" ", "\xa0"));
}

/** Sequences of UTF-8, or of surrogates in it, with bytes that are lost: 0x1A, and in places a question mark. */
const LOST_BYTES = new RegExp(
  [
    "[\xc2-\xdf]\x1a",
    "[\xc2-\xc3][?]",
    "\xed[\xa0-\xaf][\x1a?]\xed[\xb0-\xbf][\x1a?\x80-\xbf]",
    "\xed[\xa0-\xaf][\x1a?\x80-\xbf]\xed[\xb0-\xbf][\x1a?]",
    "[\xe0-\xef][\x1a?][\x1a\x80-\xbf]",
    "[\xe0-\xef][\x1a\x80-\xbf][\x1a?]",
    "[\xf0-\xf4][\x1a?][\x1a\x80-\xbf][\x1a\x80-\xbf]",
    "[\xf0-\xf4][\x1a\x80-\xbf][\x1a?][\x1a\x80-\xbf]",
    "[\xf0-\xf4][\x1a\x80-\xbf][\x1a\x80-\xbf][\x1a?]",
    "\x1a",
  ].join("|"),
  "g",
);

/** The text of bytes in UTF-8, or null. Takes surrogate pairs in UTF-8 (CESU-8) and a zero in two bytes (Java) too. */
function decodeUtf8(bytes: string): string | null {
  const standard = bytes
    .replace(/\xc0\x80/g, "\0")
    .replace(/\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]/g, joinPair);
  try {
    const array = Uint8Array.from(standard, (byte) => byte.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(array);
  } catch {
    return null;
  }
}

/** Two surrogates of three bytes each as one sequence of four bytes. */
function joinPair(pair: string): string {
  const unit = (at: number): number => 0xd000 | ((pair.charCodeAt(at) & 0x3f) << 6) | (pair.charCodeAt(at + 1) & 0x3f);
  const bytes = new TextEncoder().encode(String.fromCharCode(unit(1), unit(4)));
  return String.fromCharCode(...bytes);
}

let lookalikes: RegExp | undefined;

/** Sequences that look like UTF-8 in a code page similar to Latin-1, a space counting as a no-break space; made at the first call. */
function utf8Lookalikes(): RegExp {
  if (lookalikes) return lookalikes;
  const pages = codePages().filter(({ name, sloppy }) => sloppy || name === "latin-1");
  const characters = (first: number, last: number): string =>
    pages.map(({ upper }) => upper.slice(first - 0x80, last + 1 - 0x80)).join("");
  const next = characters(0x80, 0xbf);
  const strict = next.replace(/[–—―‘’‚“”„•…]/g, "");
  const lead = (first: string, count: number): string => `[${first}][${next} ]{${count}}`;
  const sequences = [
    lead(characters(0xc2, 0xdf), 1),
    lead(characters(0xe0, 0xef), 2),
    lead(characters(0xf0, 0xf0) + characters(0xf3, 0xf3), 3),
  ];
  lookalikes = new RegExp(`(?<![${strict}])(?:${sequences.join("|")})+`, "g");
  return lookalikes;
}
