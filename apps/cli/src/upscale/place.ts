/** Where results of `upscale` are written. */
import { stat } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { UserError } from "../errors.ts";
import type { FoundPhoto } from "../photo/find.ts";

/** How results are named. */
export interface Naming {
  /** The folder they go into. */
  readonly folder: string;
  /** What stands behind a photo's name, with `{scale}` for what was asked for. */
  readonly suffix: string;
  readonly scale: string;
  /** The ending of a result, with its dot. */
  readonly ending: (photo: FoundPhoto) => string;
}

/** What stands for `{scale}` in names: `2`, `1.5`, and of sizes `1200w`, `800h`, `1200x800`. @param own the network's scale */
export function sizeName(
  { scale, width, height }: Partial<Readonly<Record<"scale" | "width" | "height", number | undefined>>>,
  own: number,
): string {
  if (width !== undefined && height !== undefined) return `${width}x${height}`;
  if (width !== undefined) return `${width}w`;
  return height === undefined ? String(scale ?? own) : `${height}h`;
}

/**
 * A place for the result of each photo, sub-folders kept. Photos that differ in their ending only get it into their name, `a-jpg_x2.png`;
 * where that is not enough, a number.
 */
export function placesOf(photos: readonly FoundPhoto[], naming: Naming): string[] {
  const plain = photos.map((photo) => place(photo, naming, ""));
  // As a file system sees them that knows no upper case.
  const counts = new Map<string, number>();
  for (const path of plain) counts.set(path.toLowerCase(), (counts.get(path.toLowerCase()) ?? 0) + 1);
  const marked = photos.map((photo, i) =>
    counts.get(plain[i]!.toLowerCase()) === 1 ? plain[i]! : place(photo, naming, endingMark(photo)),
  );
  const taken = new Set<string>();
  return marked.map((path, i) => {
    let found = path;
    for (let n = 2; taken.has(found.toLowerCase()); n++) {
      found = place(photos[i]!, naming, `${endingMark(photos[i]!)}-${n}`);
    }
    taken.add(found.toLowerCase());
    return found;
  });
}

/** The photo's ending as a part of a name. */
function endingMark({ name }: FoundPhoto): string {
  return `-${extname(name).slice(1).toLowerCase()}`;
}

function place(photo: FoundPhoto, { folder, suffix, scale, ending }: Naming, mark: string): string {
  const name = basename(photo.name, extname(photo.name));
  return join(folder, dirname(photo.name), `${name}${mark}${suffix.replaceAll("{scale}", scale)}${ending(photo)}`);
}

/** Files that must not be written over: whatever their names are, by where they are on the disk. */
export class Originals {
  readonly #known = new Map<string, string>();

  /** Takes the photos in. */
  static async of(photos: readonly FoundPhoto[]): Promise<Originals> {
    const originals = new Originals();
    for (const { path } of photos) {
      const id = path === "-" ? undefined : await identity(path);
      if (id !== undefined) originals.#known.set(id, path);
    }
    return originals;
  }

  /** @throws UserError when this place is one of the photos, perhaps through a link */
  async refuse(out: string): Promise<void> {
    const id = await identity(out);
    const photo = id === undefined ? undefined : this.#known.get(id);
    if (photo === undefined) return;
    const name = photo === out ? "the photograph itself" : `the photograph ${photo}`;
    throw new UserError(`upscale: ${out} is ${name}: choose another --out or --suffix`);
  }
}

async function identity(path: string): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found && `${found.dev}:${found.ino}`;
}
