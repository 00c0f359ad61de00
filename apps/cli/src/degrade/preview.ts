import { resolveBeside } from "../data/captioned.ts";
import { readImage } from "../data/image.ts";
import type { Output } from "../output.ts";
import { hasFonts, writeContactSheet } from "./contact-sheet.ts";
import { describeRecipe } from "./describe.ts";
import type { ImageRecord } from "./records.ts";
import type { SynthesisRequest } from "./synthesize.ts";

/** Pictures of a contact sheet. */
const MOST_PICTURES = 30;

/** Writes a contact sheet of images from all over the set: each with what it shows and what was done to it. */
export async function writePreview(
  path: string,
  { records: file, fallback }: SynthesisRequest,
  records: readonly ImageRecord[],
  output: Output,
): Promise<void> {
  if (!(await hasFonts()))
    output.warn("preview: this machine has no fonts to write captions with: install fonts-dejavu-core, for one");
  const count = Math.min(MOST_PICTURES, records.length);
  const shown = Array.from({ length: count }, (_, i) => records[Math.floor((i * records.length) / count)]!);
  const entries = shown.map(async (record) => ({
    image: await readImage(resolveBeside(file, record.out)),
    caption: `${record.title ?? fallback}\n${describeRecipe(record).replace(/,\s*/g, ", ")}`,
  }));
  await writeContactSheet(path, await Promise.all(entries));
}
