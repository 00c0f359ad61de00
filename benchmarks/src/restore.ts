/**
 * What tiles and networks do to an image, in levels of 8 bits. Tiles: how far the result of tiles is from that of the whole image, the steps of that difference across the
 * borders of tiles beside those elsewhere, and the steps of either result across the borders. Colours: how far the means of a chart's patches
 * move. `npm run bench:restore -- PHOTO [--model RUN_OR_FILE] [--tile 96] [--side 288]`: random weights of RealDAT-light x2, and a trained network.
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
if (photo === undefined) throw new Error("bench:restore: give a photograph");
const [tile, side] = [Number(values.tile), Number(values.side)];

/** What was measured of a way to join tiles. */
interface Seams {
  readonly largest: number;
  readonly mean: number;
  /** Mean absolute step of the difference between neighbouring rows, and columns, at the borders of tiles and elsewhere. */
  readonly border: number;
  readonly elsewhere: number;
  /** The same of the images themselves at the borders: of tiles, and of the whole image at the same places. */
  readonly tiled: number;
  readonly whole: number;
}

/** @param borders positions along both axes where one tile hands over to the next */
function compare(whole: RasterImage, tiled: RasterImage, borders: ReadonlySet<number>): Seams {
  const { width, height } = whole;
  const difference = Float64Array.from(whole.data, (value, i) => (tiled.data[i]! - value) / 257);
  const sums = { border: [0, 0], elsewhere: [0, 0], tiled: [0, 0], whole: [0, 0] };
  const add = (sum: number[], value: number): void => {
    sum[0]! += Math.abs(value);
    sum[1]! += 1;
  };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (const [at, step] of [
        [x, 3],
        [y, 3 * width],
      ] as const) {
        if (at === 0) continue;
        for (let c = 0; c < 3; c++) {
          const i = (y * width + x) * 3 + c;
          add(borders.has(at) ? sums.border : sums.elsewhere, difference[i]! - difference[i - step]!);
          if (!borders.has(at)) continue;
          add(sums.tiled, (tiled.data[i]! - tiled.data[i - step]!) / 257);
          add(sums.whole, (whole.data[i]! - whole.data[i - step]!) / 257);
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
    tiled: mean(sums.tiled),
    whole: mean(sums.whole),
  };
}

/** Where tiles of this size meet along an axis, in pixels of the result; the same for both ways when the axis is a multiple of the tile. */
function bordersOf(length: number, scale: number, blend: "cosine" | "reference", window: number): Set<number> {
  const aligned = Math.max(window, Math.floor(tile / window) * window);
  const count = blend === "cosine" ? Math.ceil(length / aligned) : Math.floor(length / tile) + 1;
  const step = blend === "cosine" ? Math.ceil(length / count / window) * window : Math.ceil(length / count);
  return new Set(Array.from({ length: count - 1 }, (_, i) => (i + 1) * step * scale));
}

/** The patches of a ColorChecker, in sRGB. */
const PATCHES = [
  [115, 82, 68],
  [194, 150, 130],
  [98, 122, 157],
  [87, 108, 67],
  [133, 128, 177],
  [103, 189, 170],
  [214, 126, 44],
  [80, 91, 166],
  [193, 90, 99],
  [94, 60, 108],
  [157, 188, 64],
  [224, 163, 46],
  [56, 61, 150],
  [70, 148, 73],
  [175, 54, 60],
  [231, 199, 31],
  [187, 86, 149],
  [8, 133, 161],
  [243, 243, 242],
  [200, 200, 200],
  [160, 160, 160],
  [122, 122, 121],
  [85, 85, 85],
  [52, 52, 52],
] as const;
/** Pixels of a patch's side: none but the first begins with one of the cells over which colours are held. */
const PATCH = 60;
const [ACROSS, DOWN] = [6, 4];

function chart(): RasterImage {
  const width = ACROSS * PATCH;
  const data = Uint8Array.from({ length: width * DOWN * PATCH * 3 }, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    return PATCHES[Math.floor(y / PATCH) * ACROSS + Math.floor(x / PATCH)]![i % 3]!;
  });
  return { width, height: DOWN * PATCH, data };
}

/** How far the means of the patches are from what they were: the farthest channel, and on average. */
function shifts({ data, width }: RasterImage, scale: number): { readonly largest: number; readonly mean: number } {
  const sums = new Float64Array(PATCHES.length * 3);
  for (let i = 0; i < data.length; i++) {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    const patch = Math.floor(y / scale / PATCH) * ACROSS + Math.floor(x / scale / PATCH);
    sums[patch * 3 + (i % 3)]! += data[i]! / 257;
  }
  const off = [...sums].map((sum, i) => Math.abs(sum / (PATCH * scale) ** 2 - PATCHES[Math.floor(i / 3)]![i % 3]!));
  return { largest: Math.max(...off), mean: off.reduce((sum, value) => sum + value, 0) / off.length };
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
const colours: Record<string, unknown>[] = [];
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
for (const [name, restorer] of networks) {
  for (const colour of ["keep", "free"] as const) {
    const found = shifts(await restorer.restore(chart(), { colour, depth: 16 }), restorer.network.scale);
    colours.push({ network: name, colour, ...found });
    console.log(`${name}, colours ${colour}: largest shift ${found.largest.toFixed(2)}  mean ${found.mean.toFixed(2)}`);
  }
}
const machine = describeMachine();
const name = `${machine.date.slice(0, 19).replace(/:/g, "-")}-restore-${machine.commit.replace("+", "-changed")}.json`;
const { adapter } = device.info;
writeFileSync(
  new URL(`../results/${name}`, import.meta.url),
  `${JSON.stringify({ ...machine, adapter, tile, side: input.width, rows, colours }, null, 2)}\n`,
);
console.log(`benchmarks/results/${name}`);
device.destroy();
