import { damaged } from "./pickle.ts";

/** How protocol 0, which is made of lines of text, spells numbers and text. */

const LATIN1 = (bytes: Uint8Array): string => bytes.reduce((text, byte) => text + String.fromCharCode(byte), "");

/** `12`; `01` and `00` are true and false. */
export function wholeOrTruth(line: string): boolean | number | bigint {
  if (line === "01" || line === "00") return line === "01";
  return longOf(line);
}

/** `12L`; Python 3 writes the L, too. */
export function longOf(line: string): number | bigint {
  const [, digits] = /^\s*([+-]?\d{1,40})L?\s*$/.exec(line) ?? [];
  if (digits === undefined) throw damaged("holds a whole number that is none");
  const value = BigInt(digits.replace("+", ""));
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

/** What Python prints of a float: `1.5`, `1e-05`, `inf`, `nan`. */
export function floatOf(line: string): number {
  const word = line.trim().toLowerCase();
  const [, sign, name] = /^([+-]?)(inf|infinity|nan)$/.exec(word) ?? [];
  const value = name === undefined ? Number(word) : name === "nan" ? Number.NaN : Number.POSITIVE_INFINITY;
  if (word === "" || (name === undefined && !Number.isFinite(value))) throw damaged("holds a number that is none");
  return sign === "-" ? -value : value;
}

const CONTROLS: Readonly<Record<string, string>> = { a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" };

/** Text in quotes, as Python 2's `repr` writes it. */
export function unquoted(line: Uint8Array): string {
  const [, quote, inner] = /^(['"])([\s\S]*)\1$/.exec(LATIN1(line).trim()) ?? [];
  if (quote === undefined || inner === undefined) throw damaged("holds text without quotes");
  return inner.replace(/\\(x[\da-fA-F]{2}|[0-7]{1,3}|[\s\S])/g, (_, code: string) => {
    if (/^x./.test(code)) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
    if (/^[0-7]/.test(code)) return String.fromCharCode(Number.parseInt(code, 8) & 0xff);
    return CONTROLS[code] ?? code;
  });
}

/** Text in which `\u20ac` and `\U0001f600` stand for what is not latin1. */
export function escaped(line: Uint8Array): string {
  return LATIN1(line).replace(/\\u([\da-fA-F]{4})|\\U([\da-fA-F]{8})/g, (_, four?: string, eight?: string) => {
    const code = Number.parseInt(four ?? eight ?? "", 16);
    if (code > 0x10ffff) throw damaged("holds text with a character that is none");
    // Two of four digits may be the halves of one.
    return four === undefined ? String.fromCodePoint(code) : String.fromCharCode(code);
  });
}
