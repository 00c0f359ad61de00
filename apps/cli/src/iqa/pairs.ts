/** Which reference belongs to which image. */
import { basename } from "node:path";
import { expandInputs, stem } from "../data/folder.ts";

/** An image, and what it should be. */
export interface ImagePair {
  readonly name: string;
  readonly image: string;
  readonly reference: string | undefined;
}

/** All images with their references, and all references, also those without an image. */
export interface PairedFiles {
  readonly pairs: readonly ImagePair[];
  readonly references: readonly string[];
}

/**
 * The images of a file or folder with their references. A single image belongs to a single reference, whatever they are called.
 *
 * @throws UserError when one of them is missing or a folder holds no image
 */
export async function listPairs(images: string, reference: string | undefined): Promise<PairedFiles> {
  const files = await expandInputs([images]);
  const references = reference === undefined ? [] : await expandInputs([reference]);
  const single = files.length === 1 && references.length === 1;
  const names = files.map(stem);
  const pairs = files.map((image, i) => {
    // Two files that differ in their ending only are told apart by it.
    const alone = names.indexOf(names[i]!) === names.lastIndexOf(names[i]!);
    const reference = single ? references[0] : referenceOf(basename(image), references);
    return { name: alone ? names[i]! : basename(image), image, reference };
  });
  return { pairs, references };
}

/**
 * The reference of an image: the one of the same name, of the same ending if there are several, or else of the longest name that the image's goes on from with a separator or a
 * scale (`baby_x4` and `babyx4` from `baby`). What data sets add to a reference's name does not count (`baby_HR`, `baby_SRF_4_HR`).
 */
export function referenceOf(file: string, references: readonly string[]): string | undefined {
  const name = stem(file);
  const same = references.filter((reference) => stem(reference) === name);
  if (same.length > 0) return same.find((reference) => basename(reference) === file) ?? same[0];
  let best: { readonly base: string; readonly reference: string } | undefined;
  for (const reference of references) {
    const base = stem(reference).replace(/(_SRF_\d+)?[-_](HR|GT)$/i, "");
    const goesOn = name.startsWith(base) && /^($|[-_. ]|x\d)/i.test(name.slice(base.length));
    if (goesOn && base.length > (best?.base.length ?? 0)) best = { base, reference };
  }
  return best?.reference;
}
