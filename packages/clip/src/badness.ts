import { WHITE_SPACE } from "./white-space.ts";

/**
 * Characters that UTF-8 turns into when read in another encoding, by what they do in honest text, for use inside of character
 * classes. The classes and the rules below are those of the Python package ftfy.
 *
 * @see https://ftfy.readthedocs.io/en/latest/heuristic.html
 */
const common = "\xa0\xad·´–—―…’";
const control = "\x80-\x9f";
const bad = "¦¤¨¬¯¸ƒˆˇ˘˛˜†‡‰⌐◊\ufffdªº";
const law = "¶§";
const currency = "¢£¥₧€";
const start = "¡«¿©΄΅‘‚“„•‹\uf8ff";
const end = "®»˝”›™";
const numeric = "²³¹±¼½¾×µ÷⁄∂∆∏∑√∞∩∫≈≠≡≤≥№";
/** Letters that faces are drawn with, as in (ò_ó). */
const face = "Ò-ÖÙ-Üò-öø-üŐŌŪŲ°";
const upper = "À-ÑØÜÝĂĀĄĆČĎĐĘĚĒĖĞĢİĪĶĹĽŁĻŃŇŅŒŘŚŞŠŢŤŮŰŸŹŻŽҐ";
const lower = "ßà-ñăąāćčďđęěēėğģįīķĺľłļœŕśşšťüźżžґﬁﬂ";
const upperCommon = "ÞΑ-ΩΆΈΉΊΌΎΏΪΫЁ-Я";
const lowerCommon = "α-ωάέήίΰа-џ";
const box = "│┌┐┘├┤┬┼═-╬▀▄█▌▐░▒▓";

const arabic = `[ØÙ][${common}${currency}${bad}${numeric}${start}ŸŠ®°µ»]`;

/** Neighbours that are hardly ever meant. */
const BADNESS = new RegExp(
  [
    `[${control}]`,
    `[${bad}${lower}${upper}${box}${start}${end}${currency}${numeric}${law}][${bad}]`,
    `[a-zA-Z][${lowerCommon}${upperCommon}][${bad}]`,
    `[${bad}][${lower}${upper}${box}${start}${end}${currency}${numeric}${law}]`,
    `[${lower}${lowerCommon}${box}${end}${currency}${numeric}][${upper}]`,
    `[${box}${end}${currency}${numeric}][${lower}]`,
    `[${lower}${box}${end}][${currency}]`,
    `[${WHITE_SPACE}][${upper}][${currency}]`,
    `[${upper}${box}][${numeric}${law}]`,
    `[${lower}${upper}${box}${currency}${end}][${start}][${numeric}]`,
    `[${lower}${upper}${currency}${numeric}${box}${law}][${end}][${start}]`,
    `[${currency}${numeric}${box}][${start}]`,
    `[a-z][${upper}][${start}${currency}]`,
    `[${box}][${face}${end}]`,
    `[${lower}${upper}${currency}${numeric}${start}${end}${law}][${box}]`,
    `[${lower}${upper}][${start}${end}][\\p{L}\\p{N}_]`,
    "[Œœ][^A-Za-z]",
    `[${upper}]°`,
    // Two characters of Windows-1252, then of Arabic in it, then the beginning of South Asian letters in it.
    `[ÂÃÎÐ][€œŠš¢£Ÿž\xa0\xad®©°·»${start}${end}–—´]`,
    "×[²³]",
    `${arabic}${arabic}`,
    "à[²µ¹¼½¾]",
    // MacRoman.
    "√[±∂†≠®™´≤≥¥µø]",
    "≈[°¢]",
    "‚Ä[ìîïòôúùû†°¢π]",
    "‚[âó][àä°ê]",
    // Windows-1251: U+2000 and on; Latin-1 or Cyrillic letters; and that on top of Windows-1252 as Latin-1.
    "вЂ",
    `[ВГРС][${control}${bad}${start}${end}${currency}°µ][ВГРС]`,
    "ГўВЂВ[^\\n][A-Za-z ]",
    // à, á and the no-break space in Windows-1252.
    "Ã[\xa0¡]",
    `[a-z][${WHITE_SPACE}]?[ÃÂ] `,
    "^[ÃÂ] ",
    `[a-z.,?!${end}]Â[ ${start}${end}]`,
    // Windows-1253: U+2000 and on; Latin-1 or Greek letters.
    "β€[™\xa0Ά\xad®°]",
    `[ΒΓΞΟ][${control}${bad}${start}${end}${currency}°][ΒΓΞΟ]`,
    // Windows-1257: U+2000 and on.
    "ā€",
  ].join("|"),
  "u",
);

/** Whether some of a text looks as if it had been decoded in the wrong encoding. */
export function isBad(text: string): boolean {
  return BADNESS.test(text);
}
