/** A single-byte encoding that UTF-8 is mistaken for. Bytes are strings of the characters U+0000 to U+00FF here. */
export interface CodePage {
  readonly name: string;
  /** Windows code pages take any byte: one without a character stands for itself, and 0x1A for U+FFFD, the sign of a lost one. */
  readonly sloppy: boolean;
  /** The characters of the bytes 0x80 to 0xFF. */
  readonly upper: string;
  readonly bytes: ReadonlyMap<string, number>;
}

/** Bytes 0x80 to 0x9F of Windows-1252, which some decoders read as Latin-1. */
export const WINDOWS_1252 = "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ";

/** Bytes 0x80 to 0xFF of the first IBM PC, which decoders do not know. */
const CP437 =
  "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐" +
  "└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\xa0";

let known: readonly CodePage[] | undefined;

/** The encodings in the order in which a repair tries them; made at the first call. */
export function codePages(): readonly CodePage[] {
  if (known) return known;
  const upperBytes = Array.from({ length: 128 }, (_, i) => 128 + i);
  const latin1 = String.fromCharCode(...upperBytes);
  const decoded = (label: string): string => {
    const text = new TextDecoder(label).decode(Uint8Array.from(upperBytes));
    return text.replace(/\ufffd/g, (_, at: number) => latin1[at]!);
  };
  known = Object.entries({
    "latin-1": latin1,
    "windows-1252": WINDOWS_1252 + latin1.slice(WINDOWS_1252.length),
    "windows-1251": decoded("windows-1251"),
    "windows-1250": decoded("windows-1250"),
    "windows-1253": decoded("windows-1253"),
    "windows-1254": decoded("windows-1254"),
    "windows-1257": decoded("windows-1257"),
    "iso-8859-2": decoded("iso-8859-2"),
    macintosh: decoded("macintosh"),
    cp437: CP437,
  }).map(([name, upper]) => ({
    name,
    sloppy: name.startsWith("windows"),
    upper,
    bytes: new Map(Array.from(upper, (character, i) => [character, 128 + i])),
  }));
  return known;
}

/** The bytes that the code page decodes to this text, or null when it has not all of the characters. */
export function encodeWith({ sloppy, bytes }: CodePage, text: string): string | null {
  let encoded = "";
  for (let i = 0; i < text.length; i++) {
    const character = text[i]!;
    if (sloppy && character === "\ufffd") encoded += "\x1a";
    else if (character < "\x80" && !(sloppy && character === "\x1a")) encoded += character;
    else {
      const byte = bytes.get(character);
      if (byte === undefined) return null;
      encoded += String.fromCharCode(byte);
    }
  }
  return encoded;
}
