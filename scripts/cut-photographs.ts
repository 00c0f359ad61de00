/**
 * Cuts the squares of `@deplsr/models` out of photographs that `npm run install-photographs` has installed.
 *
 *     npm run cut-photographs [-- FOLDER]        default: data/photographs
 *
 * A square is half as large as the part of the photograph that it shows: means of two by two pixels, which are sharp and have no traces of
 * the photograph's own compression. All of them are of Unsplash's CC0 times (packages/models/NOTICE).
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { PHOTOGRAPH_SIDE as SIDE } from "../packages/models/src/index.ts";

/** Where each lies: the photograph of data/photographs.tsv, and the corner of a square of twice `SIDE` in it. */
const SQUARES = [
  { name: "bay", of: "train/christian-joudrey-96208", left: 0, top: 232 },
  { name: "beach", of: "train/sweet-ice-cream-photography-143023", left: 380, top: 20 },
  { name: "deer", of: "val/teddy-kelley-109202", left: 460, top: 232 },
  { name: "fawn", of: "train/vladimir-kudinov-12761", left: 650, top: 180 },
  { name: "hills", of: "train/davide-cantelli-139887", left: 560, top: 150 },
  { name: "ice", of: "train/joshua-earle-157231", left: 420, top: 120 },
  { name: "puffin", of: "train/david-klaasen-54203", left: 300, top: 70 },
  { name: "temple", of: "train/oskar-vertetics-53043", left: 560, top: 100 },
  { name: "valley", of: "train/christoph-bengtsson-lissalde-80291", left: 80, top: 232 },
  { name: "waterfall", of: "val/wil-stewart-18242", left: 0, top: 232 },
] as const;

const folder = process.argv[2] ?? "data/photographs";
const into = fileURLToPath(new URL("../packages/models/photographs/", import.meta.url));
for (const { name, of, left, top } of SQUARES) {
  const square = sharp(join(folder, `${of}.png`)).extract({ left, top, width: 2 * SIDE, height: 2 * SIDE });
  const half = halved(await square.removeAlpha().raw().toBuffer());
  const { size } = await sharp(half, { raw: { width: SIDE, height: SIDE, channels: 3 } })
    .jpeg({ quality: 90, chromaSubsampling: "4:4:4" })
    .toFile(join(into, `${name}.jpg`));
  console.log(`${name}.jpg  ${size} bytes`);
}

/** Means of two by two pixels of a square of RGB. */
function halved(large: Uint8Array): Buffer {
  const half = Buffer.alloc(SIDE * SIDE * 3);
  const row = 2 * SIDE * 3;
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      for (let channel = 0; channel < 3; channel++) {
        const at = 2 * y * row + 2 * x * 3 + channel;
        const sum = large[at]! + large[at + 3]! + large[at + row]! + large[at + row + 3]!;
        half[(y * SIDE + x) * 3 + channel] = Math.round(sum / 4);
      }
    }
  }
  return half;
}
