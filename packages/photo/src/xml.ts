/** Text inside XML attributes. */

const NAMES: Readonly<Record<string, string>> = { "&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos" };
const CHARACTERS = new Map(Object.entries(NAMES).map(([character, name]) => [name, character]));

/** Text as it may stand in an attribute. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&${NAMES[character]};`);
}

/** The text that an attribute's value stands for. */
export function unescapeXml(text: string): string {
  return text.replace(/&(\w+);/g, (whole, name: string) => CHARACTERS.get(name) ?? whole);
}
