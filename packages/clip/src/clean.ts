import { decodeHTML } from "entities";

/** What Python's `str.split` and `str.strip` take for white space; JavaScript's `\s` has U+FEFF too and lacks six others. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: Python counts U+001C to U+001F as white space
const WHITE_SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/gu;

const CHARACTER_REFERENCE = /&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)/gu;

/**
 * Text as CLIP's tokenizer splits it: HTML references resolved twice, runs of white space made one space, trimmed, in lower
 * case. The repair of wrongly decoded text that the reference does first (the Python package ftfy) is left out: on clean
 * text it does nothing.
 */
export function cleanText(text: string): string {
  return unescapeHtml(unescapeHtml(text)).replace(WHITE_SPACE, " ").replace(/^ | $/g, "").toLowerCase();
}

/** Resolves HTML5 character references as Python's `html.unescape`: those without semicolon too, impossible ones to nothing. */
export function unescapeHtml(text: string): string {
  return text.includes("&") ? text.replace(CHARACTER_REFERENCE, resolve) : text;
}

function resolve(reference: string): string {
  const digits = /^&#(?:[xX]([0-9a-fA-F]+)|([0-9]+));?$/.exec(reference);
  if (!digits) return decodeHTML(reference);
  const code = digits[1] === undefined ? Number.parseInt(digits[2]!, 10) : Number.parseInt(digits[1], 16);
  if (code === 0 || (code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff) return "\uFFFD";
  // HTML reads 128 to 159 as Windows-1252.
  if (code >= 0x80 && code <= 0x9f) return decodeHTML(`&#${code};`);
  return isNoCharacter(code) ? "" : String.fromCodePoint(code);
}

/** Control characters and the code points that Unicode never assigns. */
function isNoCharacter(code: number): boolean {
  const control = (code < 0x20 && !(code >= 0x9 && code <= 0xd && code !== 0xb)) || code === 0x7f;
  return control || (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) === 0xfffe;
}
