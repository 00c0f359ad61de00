import { unescapeCompleteHtml } from "./html.ts";
import { fixControls, fixEncoding, untilStable } from "./mojibake.ts";

/** Lines that no repair changes. */
const PLAIN = /^[\t\n\f\x20-%'-~]*$/;

/** Colours and the like. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they begin with an escape
const TERMINAL_SEQUENCE = /\x1b\[[\p{Nd};]*[a-zA-Z]/gu;

/** The repairs after that of the encoding, in order. */
const REPAIRS: readonly ((line: string) => string)[] = [
  fixControls,
  breakLigatures,
  // Full-width and half-width forms in their usual width.
  (line) => line.replace(/[\uff01-\uffef]/g, (form) => form.normalize("NFKC")).replaceAll("\u3000", " "),
  // Straight quotation marks.
  (line) => line.replace(/[\u02bc\u2018-\u201b]/g, "'").replace(/[\u201c-\u201f]/g, '"'),
  (line) => line.replace(/\r\n|[\r\u2028\u2029\x85]/g, "\n"),
  // Lone surrogates.
  (line) => line.replace(/\p{Surrogate}/gu, "\ufffd"),
  (line) => line.replace(TERMINAL_SEQUENCE, ""),
  // Control characters but white space and those above ASCII, and others that nothing shows.
  (line) => line.replace(/[^\P{Cc}\t\n\f\r\x80-\x9f]|[\u206a-\u206f\ufeff\ufff9-\ufffc]/gu, ""),
  (line) => line.normalize("NFC"),
];

/**
 * Repairs what goes wrong with text on its way: UTF-8 decoded in other encodings, HTML references, ligatures, full-width letters,
 * curly quotation marks, line ends, surrogates, terminal and control characters; the result is in normal form C. The rules are
 * those of `ftfy.fix_text` 6.3 with its default settings, which however cuts lines of more than a million characters, and repeats
 * a repair more than ten times where it has to.
 *
 * @see https://ftfy.readthedocs.io/en/latest/config.html
 */
export function fixText(text: string): string {
  let markup = false;
  return text
    .split(/(?<=\n)/)
    .map((line) => {
      // A tag means that references are meant, here and in what follows.
      markup ||= line.includes("<");
      return fixLine(line, markup);
    })
    .join("");
}

function fixLine(line: string, markup: boolean): string {
  if (PLAIN.test(line)) return line;
  return untilStable(line, (text) => {
    const unescaped = markup ? text : unescapeCompleteHtml(text);
    return REPAIRS.reduce((repaired, repair) => repair(repaired), fixEncoding(unescaped));
  });
}

/** Latin letters that are several in one. Normalisation would make the long s in one of them a short one. */
function breakLigatures(line: string): string {
  return line.replace(/[ĲĳŉǄ-ǌǱ-ǳﬀ-ﬆ]/g, (letters) => (letters === "ﬅ" ? "ſt" : letters.normalize("NFKC")));
}
