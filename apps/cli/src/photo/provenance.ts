/** What made the pictures in files. */
import { type Provenance, provenanceOf } from "@deplsr/photo";
import sharp from "sharp";

// The decoder remembers files by their names, and would tell of what stood there before it was replaced.
sharp.cache(false);

/** What made the picture in a file, read from its head alone; null where that is not known or no picture stands there. */
export async function readProvenance(path: string): Promise<Provenance | null> {
  const metadata = await sharp(path, { limitInputPixels: false })
    .metadata()
    .catch(() => null);
  return provenanceOf(metadata?.xmpAsString ?? null);
}
