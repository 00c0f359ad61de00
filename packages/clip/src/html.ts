import { decodeHTML, decodeHTMLStrict } from "entities";

const CHARACTER_REFERENCE = /&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)/gu;

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

/**
 * Resolves the references that are complete, semicolon included. Names that went through a conversion to upper case count as
 * upper-case characters where that is no name of its own: `&EACUTE;` is É.
 */
export function unescapeCompleteHtml(text: string): string {
  return text.replace(/&#?[0-9A-Za-z]{1,24};/g, (reference) => {
    if (reference.startsWith("&#")) {
      const resolved = unescapeHtml(reference);
      return resolved.includes(";") ? reference : resolved;
    }
    const named = decodeHTMLStrict(reference);
    if (named !== reference || reference !== reference.toUpperCase() || unescapeHtml(reference) !== reference) {
      return named;
    }
    const lower = reference.toLowerCase();
    const character = decodeHTMLStrict(lower);
    return character === lower ? reference : character.toUpperCase();
  });
}
