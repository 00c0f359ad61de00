/**
 * What tiles do to an image: how far the result of tiles is from that of the whole image, and the steps of that difference across the borders
 * of tiles beside those elsewhere, in levels of 8 bits. `npm run bench:seams -- PHOTO [--model RUN_OR_FILE] [--tile 96] [--side 288]`: random
 * weights of RealDAT-light x2, and those of a trained network.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { enlarging, type RasterImage, Restorer } from "@deplsr/restore";
import { REALDAT_LIGHT_X2, RealDAT } from "@deplsr/srclip";
import { Device, Rng } from "@deplsr/tensor";
import { crop } from "../../apps/cli/src/data/crop.ts";
import { readImage } from "../../apps/cli/src/data/image.ts";
import { loadUpscaler } from "../../apps/cli/src/upscale/upscale.ts";
import { describeMachine } from "./machine.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: "string" },
    tile: { type: "string", default: "96" },
    side: { type: "string", default: "288" },
  },
});
const [photo] = positionals;
if (photo === undefined) throw new Error("bench:seams: give a photograph");
const [tile, side] = [Number(values.tile), Number(values.side)];

/** What was measured of a way to join tiles. */
interface Seams {
  readonly largest: number;
  readonly mean: number;
  /** Mean absolute step of the difference between neighbouring rows, and columns, at the borders of tiles and elsewhere. */
  readonly border: number;
  readonly elsewhere: number;
}

/** @param borders positions along both axes where one tile hands over to the next */
function compare(whole: RasterImage, tiled: RasterImage, borders: ReadonlySet<number>): Seams {
  const { width, height } = whole;
  const difference = Float64Array.from(whole.data, (value, i) => (tiled.data[i]! - value) / 257);
  const sums = { border: [0, 0], elsewhere: [0, 0] };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (const [at, step] of [
        [x, 3],
        [y, 3 * width],
      ] as const) {
        if (at === 0) continue;
        const sum = borders.has(at) ? sums.border : sums.elsewhere;
        for (let c = 0; c < 3; c++) {
          const i = (y * width + x) * 3 + c;
          sum[0]! += Math.abs(difference[i]! - difference[i - step]!);
          sum[1]! += 1;
        }
      }
    }
  }
  const mean = ([sum, count]: readonly number[]): number => sum! / count!;
  return {
    largest: difference.reduce((most, value) => Math.max(most, Math.abs(value)), 0),
    mean: difference.reduce((sum, value) => sum + Math.abs(value), 0) / difference.length,
    border: mean(sums.border),
    elsewhere: mean(sums.elsewhere),
  };
}

/** Where tiles of this size meet along an axis, in pixels of the result; the same for both ways when the axis is a multiple of the tile. */
function bordersOf(length: number, scale: number, blend: "cosine" | "reference", window: number): Set<number> {
  const aligned = Math.max(window, Math.floor(tile / window) * window);
  const count = blend === "cosine" ? Math.ceil(length / aligned) : Math.floor(length / tile) + 1;
  const step = blend === "cosine" ? Math.ceil(length / count / window) * window : Math.ceil(length / count);
  return new Set(Array.from({ length: count - 1 }, (_, i) => (i + 1) * step * scale));
}

const device = await Device.request();
const image = await readImage(photo);
const input = crop(image, {
  left: 0,
  top: 0,
  width: Math.min(side, image.width),
  height: Math.min(side, image.height),
});
const networks: [name: string, restorer: Restorer][] = [];
const random = new RealDAT({ ...REALDAT_LIGHT_X2, clipDim: 64 }, { device, rng: new Rng(1) });
networks.push(["RealDAT-light x2, random", new Restorer(device, { network: enlarging(random) })]);
if (values.model !== undefined) {
  const loaded = await loadUpscaler(device, values.model);
  const { network, srclip, prompt } = loaded;
  networks.push([loaded.name ?? "trained", new Restorer(device, { network, srclip, ...(prompt ? { prompt } : {}) })]);
}
const rows: Record<string, unknown>[] = [];
for (const [name, restorer] of networks) {
  const { scale, window = 1 } = restorer.network;
  const how = { colour: "free", depth: 16 } as const;
  const whole = await restorer.restore(input, { ...how, tile: 2 ** 14 });
  for (const blend of ["cosine", "reference"] as const) {
    const tiled = await restorer.restore(input, { ...how, tile, blend });
    const borders = bordersOf(input.width, scale, blend, window);
    const seams = compare(whole, tiled, borders);
    rows.push({ network: name, blend, ...seams });
    const shown = Object.entries(seams).map(([key, value]) => `${key} ${value.toFixed(3)}`);
    console.log(`${name}, ${blend}: ${shown.join("  ")}`);
  }
}
const machine = describeMachine();
const name = `${machine.date.slice(0, 19).replace(/:/g, "-")}-seams-${machine.commit}.json`;
const { adapter } = device.info;
writeFileSync(
  new URL(`../results/${name}`, import.meta.url),
  `${JSON.stringify({ ...machine, adapter, tile, side: input.width, rows }, null, 2)}\n`,
);
console.log(`benchmarks/results/${name}`);
device.destroy();
