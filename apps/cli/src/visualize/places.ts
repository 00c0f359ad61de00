/** Where pictures are written. */
import { join, resolve } from "node:path";
import { stem } from "../data/folder.ts";
import { checkPlace } from "../files.ts";
import { refuseExisting } from "../flags.ts";

/** The flags of all that draws. */
export interface PlaceFlags {
  readonly out: string;
  readonly overwrite: boolean;
}

/**
 * The path `out/NAME_endings` for each ending, NAME being that of what is shown, checked before any work.
 *
 * @throws UserError when a file stands there and is not to be replaced, or cannot be written
 */
export async function placesFor(shown: string, endings: readonly string[], flags: PlaceFlags): Promise<string[]> {
  const name = shown === "-" ? "stdin" : stem(resolve(shown));
  const places = endings.map((ending) => join(flags.out, `${name}_${ending}`));
  for (const place of places) await refuseExisting("visualize", place, flags.overwrite);
  for (const place of places) await checkPlace(place);
  return places;
}
