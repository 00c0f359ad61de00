/** A photograph of this package; NOTICE says where it is from and under which licence. */
export interface ShippedPhotograph {
  /** Without extension. */
  readonly name: string;
  /** What it shows, in our words. */
  readonly title: string;
  readonly file: URL;
}

const CAPTIONS: readonly (readonly [name: string, title: string])[] = [];

/** Squares of free photographs, for demonstrations and tests. */
export const PHOTOGRAPHS: readonly ShippedPhotograph[] = CAPTIONS.map(([name, title]) => ({
  name,
  title,
  file: new URL(`../photographs/${name}.jpg`, import.meta.url),
}));
