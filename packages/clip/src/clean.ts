import { fixText } from "./fix-text.ts";
import { unescapeHtml } from "./html.ts";
import { WHITE_SPACE } from "./white-space.ts";

const SPACES = new RegExp(`[${WHITE_SPACE}]+`, "g");

/**
 * Text as CLIP's tokenizer splits it: repaired (`fixText`), HTML references resolved twice, runs of white space made one space,
 * trimmed, in lower case.
 */
export function cleanText(text: string): string {
  return unescapeHtml(unescapeHtml(fixText(text)))
    .replace(SPACES, " ")
    .replace(/^ | $/g, "")
    .toLowerCase();
}
