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

/** How a sheet is laid out. */
export interface SheetOptions {
  /** Side of a picture's place in pixels; default 224. */
  readonly place?: number;
}

/** Side of a picture's place, and the white between and around places, in pixels. */
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
  await writeSheetRows(path, inRows(entries, Math.ceil(Math.sqrt(entries.length))));
}

/** Entries in rows of so many. */
export function inRows<T>(entries: readonly T[], columns: number): T[][] {
  const rows: T[][] = [];
  for (let at = 0; at < entries.length; at += columns) rows.push(entries.slice(at, at + columns));
  return rows;
}

/** Writes a sheet whose rows are given as a PNG; null leaves a place empty. */
export async function writeSheetRows(
  path: string,
  rows: readonly (readonly (SheetEntry | null)[])[],
  { place = PLACE }: SheetOptions = {},
): Promise<void> {
  const layers: { input: Buffer; left: number; top: number }[] = [];
  let top = GAP;
  for (const entries of rows) {
    const row = await Promise.all(entries.map((entry) => entry && drawn(entry, place)));
    const tallest = (part: keyof Tile): number => Math.max(...row.map((tile) => tile?.[part].height ?? 0));
    const pictures = tallest("picture");
    for (const [i, tile] of row.entries()) {
      if (tile === null) continue;
      const { picture, caption } = tile;
      const left = GAP + i * (place + GAP);
      const room = Math.floor((place - picture.width) / 2);
      layers.push({ input: picture.input, left: left + room, top: top + pictures - picture.height });
      layers.push({ input: caption.input, left, top: top + pictures + GAP / 2 });
    }
    top += pictures + GAP / 2 + tallest("caption") + GAP;
  }
  const columns = Math.max(...rows.map((row) => row.length));
  const size = { width: GAP + columns * (place + GAP), height: top };
  const sheet = sharp({ create: { ...size, channels: 3, background: "#ffffff" } });
  await writeFileAtomic(path, await sheet.composite(layers).png().toBuffer());
}

async function drawn({ image, caption }: SheetEntry, place: number): Promise<Tile> {
  return { picture: await fitted(image, place), caption: await written(caption, place) };
}

/** Whether this machine can write captions: without fonts every letter is the same empty box. */
export async function hasFonts(): Promise<boolean> {
  const [first, second] = await Promise.all(["I", "W"].map((letter) => written(letter, PLACE)));
  return first!.width !== second!.width || !first!.input.equals(second!.input);
}

/** The picture as large as its place allows; a small one with its pixels visible. */
async function fitted({ data, width, height }: Image, place: number): Promise<Drawn> {
  const scale = place / Math.max(width, height);
  const { data: input, info } = await sharp(data, { raw: { width, height, channels: 3 } })
    .resize(place, place, { fit: "inside", kernel: scale > 1 ? "nearest" : "lanczos3" })
    .png()
    .toBuffer({ resolveWithObject: true });
  return { input, width: info.width, height: info.height };
}

/** Text as a picture as wide as a place. */
async function written(text: string, place: number): Promise<Drawn> {
  const printable = text.replace(/[^\P{Cc}\n]/gu, " ");
  const escaped = printable.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const drawn = sharp({ text: { text: escaped, font: FONT, width: place, wrap: "word-char", rgba: true, dpi: 96 } });
  const whole = await drawn.png().toBuffer({ resolveWithObject: true });
  const width = Math.min(whole.info.width, place);
  const height = Math.min(whole.info.height, TALLEST_CAPTION);
  const input = await sharp(whole.data).extract({ left: 0, top: 0, width, height }).png().toBuffer();
  return { input, width, height };
}
