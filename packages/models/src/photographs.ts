/** A photograph of this package; NOTICE says where it is from and under which licence. */
export interface ShippedPhotograph {
  /** Without extension. */
  readonly name: string;
  /** What it shows, in our words. */
  readonly title: string;
  /** A JPEG of `PHOTOGRAPH_SIDE` pixels a side. */
  readonly file: URL;
  /** Whether no model of this package has learned from it: what they make of it says how good they are. */
  readonly heldOut: boolean;
}

/** How many pixels wide and high each photograph is. */
export const PHOTOGRAPH_SIDE = 384;

const TITLES: readonly (readonly [name: string, title: string])[] = [
  ["bay", "a calm bay with brown rocks and palm trees at sunset"],
  ["beach", "an aerial view of a sandy beach with a stone pier and turquoise waves"],
  ["deer", "a young deer with antlers standing between tree trunks in a forest"],
  ["fawn", "a spotted fawn grazing on grass beside a tree"],
  ["hills", "two hikers with backpacks in front of barren multicoloured hills"],
  ["ice", "a man standing behind large blue blocks of clear ice"],
  ["puffin", "a puffin standing on a rock among white and yellow flowers"],
  ["temple", "a golden temple among pine trees reflected in a pond"],
  ["valley", "a granite mountain valley with pine trees under a blue sky with thin clouds"],
  ["waterfall", "a waterfall falling over red sandstone cliffs into green trees"],
];

/** Those of the split `val` of data/photographs.tsv. */
const HELD_OUT: readonly string[] = ["deer", "waterfall"];

/** Squares of free photographs in colour, for demonstrations and tests. */
export const PHOTOGRAPHS: readonly ShippedPhotograph[] = TITLES.map(([name, title]) => ({
  name,
  title,
  file: new URL(`../photographs/${name}.jpg`, import.meta.url),
  heldOut: HELD_OUT.includes(name),
}));
