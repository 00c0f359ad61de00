/** The command `visualize filters`: the principal components of the filters with which an SRCLIP cuts images into patches. */
import type { Context, DeviceFlags } from "../commands/command.ts";
import { inRows, writeSheetRows } from "../degrade/contact-sheet.ts";
import { withDevice } from "../device.ts";
import { loadSrclip } from "../networks/srclip.ts";
import { grey, painted, stretched } from "./colour.ts";
import { principalComponents } from "./pca.ts";
import { type PlaceFlags, placesFor } from "./places.ts";

/** The flags of `deplsr visualize filters`. */
export interface FiltersFlags extends DeviceFlags, PlaceFlags {
  readonly srclip: string;
  readonly tower: "adaptor" | "frozen";
}

/** Components, as many as the original shows, and how they are laid out. */
const COMPONENTS = 28;
const COLUMNS = 7;
const PLACE = 112;

/** Does what `deplsr visualize filters` asks for. */
export async function runFilters(flags: FiltersFlags, context: Context): Promise<void> {
  const { output } = context;
  const [file] = (await placesFor(flags.srclip, ["filters.png"], flags)) as [string];
  await withDevice(flags, context, async (device) => {
    const model = await loadSrclip(device, flags.srclip, { imagesOnly: true });
    const { conv1, config } = flags.tower === "adaptor" ? model.visualControl : model.clip.visual;
    const { patchSize: p, width } = config;
    const filters = inRows([...(await conv1.weight.data())], 3 * p * p);
    const { directions, share } = principalComponents(filters, Math.min(COMPONENTS, width));
    const entries = directions.map((direction, i) => ({
      image: painted(stretched({ width: p, height: p, values: channelMean(direction) }), grey),
      caption: `${i + 1}: ${(100 * share[i]!).toFixed(1)} %`,
    }));
    await writeSheetRows(file, inRows(entries, COLUMNS), { place: PLACE });
    const told = share.reduce((sum, part) => sum + part, 0);
    output.line(
      `${file}: ${directions.length} components of ${width} filters of ${p}x${p}, ${(100 * told).toFixed(1)} % of their variance`,
    );
    output.result({ files: [file], tower: flags.tower, filters: width, patchSize: p, explainedVariance: share });
  });
}

/** Three planes, one after the other, to their mean. */
function channelMean(planes: Float64Array): Float64Array {
  const area = planes.length / 3;
  return Float64Array.from({ length: area }, (_, i) => (planes[i]! + planes[area + i]! + planes[2 * area + i]!) / 3);
}
