/**
 * What tiles and networks do to an image, in levels of 8 bits. Tiles: how far the result of tiles is from that of the whole image, the steps of that difference across the
 * borders of tiles beside those elsewhere, and the steps of either result across the borders. Colours: how far the means of a chart's patches
 * move. `npm run bench:restore -- PHOTO [--model RUN_OR_FILE] [--tile 96] [--side 288]`: random weights of RealDAT-light x2, and a trained network.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { enlarging, Restorer } from "@deplsr/restore";
import { REALDAT_LIGHT_X2, RealDAT } from "@deplsr/srclip";
import { Device, Rng } from "@deplsr/tensor";
import { crop } from "../../apps/cli/src/data/crop.ts";
import { readImage } from "../../apps/cli/src/data/image.ts";
import { loadUpscaler } from "../../apps/cli/src/upscale/upscale.ts";
import { describeMachine } from "./machine.ts";
import { measureShifts } from "./results/chart.ts";
import { measureSeams } from "./results/seams.ts";

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
  for (const { blend, seams } of await measureSeams(restorer, input, tile)) {
    rows.push({ network: name, blend, ...seams });
    const shown = Object.entries(seams).map(([key, value]) => `${key} ${value.toFixed(3)}`);
    console.log(`${name}, ${blend}: ${shown.join("  ")}`);
  }
}
for (const [name, restorer] of networks) {
  for (const { colour, shifts } of await measureShifts(restorer)) {
    colours.push({ network: name, colour, ...shifts });
    const { largest, mean } = shifts;
    console.log(`${name}, colours ${colour}: largest shift ${largest.toFixed(2)}  mean ${mean.toFixed(2)}`);
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
