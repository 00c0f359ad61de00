/** A contact sheet: pictures in rows, each with its caption below it. */
import sharp from "sharp";
import type { Image } from "../data/image.ts";
import { writeFileAtomic } from "../files.ts";

/** A picture of the sheet. */
export interface SheetEntry {
  readonly image: Image;
  /** Not empty. */
  readonly caption: string;
}

/** Sides of a picture's place, and the white between and around places, in pixels. */
const PLACE = 224;
const GAP = 12;
/** Captions are cut off below this many pixels. */
const TALLEST_CAPTION = 120;
const FONT = "sans 9";

interface Tile {
  readonly picture: Drawn;
  readonly caption: Drawn;
}

interface Drawn {
  readonly input: Buffer;
  readonly width: number;
  readonly height: number;
}

/** Writes the sheet as a PNG, in about as many rows as columns. */
export async function writeContactSheet(path: string, entries: readonly SheetEntry[]): Promise<void> {
  const tiles = await Promise.all(
    entries.map(async ({ image, caption }) => ({ picture: await fitted(image), caption: await written(caption) })),
  );
  const columns = Math.ceil(Math.sqrt(tiles.length));
  const layers: { input: Buffer; left: number; top: number }[] = [];
  let top = GAP;
  for (let at = 0; at < tiles.length; at += columns) {
    const row = tiles.slice(at, at + columns);
    const tallest = (drawn: (tile: Tile) => Drawn): number => Math.max(...row.map((tile) => drawn(tile).height));
    const pictures = tallest(({ picture }) => picture);
    for (const [i, { picture, caption }] of row.entries()) {
      const left = GAP + i * (PLACE + GAP);
      const room = Math.floor((PLACE - picture.width) / 2);
      layers.push({ input: picture.input, left: left + room, top: top + pictures - picture.height });
      layers.push({ input: caption.input, left, top: top + pictures + GAP / 2 });
    }
    top += pictures + GAP / 2 + tallest(({ caption }) => caption) + GAP;
  }
  const size = { width: GAP + columns * (PLACE + GAP), height: top };
  const sheet = sharp({ create: { ...size, channels: 3, background: "#ffffff" } });
  await writeFileAtomic(path, await sheet.composite(layers).png().toBuffer());
}

/** Whether this machine can write captions: without fonts every letter is the same empty box. */
export async function hasFonts(): Promise<boolean> {
  const [first, second] = await Promise.all(["I", "W"].map(written));
  return first!.width !== second!.width || !first!.input.equals(second!.input);
}

/** The picture as large as its place allows; a small one with its pixels visible. */
async function fitted({ data, width, height }: Image): Promise<Drawn> {
  const scale = PLACE / Math.max(width, height);
  const { data: input, info } = await sharp(data, { raw: { width, height, channels: 3 } })
    .resize(PLACE, PLACE, { fit: "inside", kernel: scale > 1 ? "nearest" : "lanczos3" })
    .png()
    .toBuffer({ resolveWithObject: true });
  return { input, width: info.width, height: info.height };
}

/** Text as a picture as wide as a place. */
async function written(text: string): Promise<Drawn> {
  const printable = text.replace(/[^\P{Cc}\n]/gu, " ");
  const escaped = printable.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const drawn = sharp({ text: { text: escaped, font: FONT, width: PLACE, wrap: "word-char", rgba: true, dpi: 96 } });
  const whole = await drawn.png().toBuffer({ resolveWithObject: true });
  const width = Math.min(whole.info.width, PLACE);
  const height = Math.min(whole.info.height, TALLEST_CAPTION);
  const input = await sharp(whole.data).extract({ left: 0, top: 0, width, height }).png().toBuffer();
  return { input, width, height };
}
