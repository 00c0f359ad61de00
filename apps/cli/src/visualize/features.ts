/** The command `visualize features`: what a DAT or RealDAT makes of a photograph, from group to group. */
import { abs, contiguous, keep, mean, narrow, type Tensor } from "@deplsr/tensor";
import type { Context, DeviceFlags } from "../commands/command.ts";
import { readImage } from "../data/image.ts";
import { inRows, type SheetEntry, writeSheetRows } from "../degrade/contact-sheet.ts";
import { withDevice } from "../device.ts";
import { loadUpscaler } from "../upscale/upscale.ts";
import { painted, range, stretched } from "./colour.ts";
import { runThrough, shownPart } from "./middle.ts";
import { type PlaceFlags, placesFor } from "./places.ts";

/** The flags of `deplsr visualize features` and `fusion`. */
export interface NetworkFlags extends DeviceFlags, PlaceFlags {
  readonly image: string;
  readonly model: string;
  readonly srclip: string | undefined;
}

/** Channels that are shown by themselves. */
const CHANNELS = 8;
const PLACE = 160;
/** The values at either end of a map that do not count for its contrast. */
const BEYOND = 0.01;

/** Does what `deplsr visualize features` asks for. */
export async function runFeatures(flags: NetworkFlags, context: Context): Promise<void> {
  const { output } = context;
  const photo = await readImage(flags.image);
  const [file] = (await placesFor(flags.image, ["features.png"], flags)) as [string];
  await withDevice(flags, context, async (device) => {
    const { srclip, model } = flags;
    const upscaler = await loadUpscaler(device, model, {
      ...(srclip ? { srclip } : {}),
      warn: (text) => output.warn(text),
    });
    const part = shownPart(photo, context);
    const stages: { name: string; strength: Tensor; channels: Tensor }[] = [];
    runThrough(
      device,
      upscaler,
      { photo, part },
      {
        onFeatures: (features, after) => {
          const name =
            typeof after === "number" ? `group ${after + 1}` : after === "body" ? "body" : "first convolution";
          const shown = Math.min(CHANNELS, features.shape[1]!);
          stages.push({
            name,
            strength: keep(mean(abs(features), { dim: 1 })),
            channels: keep(contiguous(narrow(features, 1, 0, shown))),
          });
        },
      },
    );
    const size = { width: part.width, height: part.height };
    const rows: SheetEntry[][] = [];
    const told: Record<string, unknown>[] = [];
    for (const { name, strength, channels } of stages) {
      const values = Float64Array.from(await strength.data());
      const { min, max } = range({ values });
      told.push({ after: name, min, max, mean: values.reduce((sum, value) => sum + value, 0) / values.length });
      const caption = `${name}: mean |x|\n${min.toPrecision(2)} to ${max.toPrecision(2)}`;
      const row: SheetEntry[] = [{ image: painted(stretched({ ...size, values }, BEYOND)), caption }];
      for (const [channel, plane] of inRows([...(await channels.data())], size.width * size.height).entries()) {
        row.push({ image: painted(stretched({ ...size, values: plane }, BEYOND)), caption: `channel ${channel + 1}` });
      }
      rows.push(row);
    }
    await writeSheetRows(file, [[{ image: part, caption: "what is shown" }], ...rows], { place: PLACE });
    output.line(
      `${file}: a row for each of ${stages.map(({ name }) => name).join(", ")}: the mean of absolute values, then channels`,
    );
    output.result({ files: [file], stages: told });
  });
}
