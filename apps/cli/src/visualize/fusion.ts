/** The command `visualize fusion`: where the cross-modal fusion of a RealDAT looks. */
import { FINE_FEATURES } from "@deplsr/degradation";
import type { FusionMaps } from "@deplsr/srclip";
import { keep } from "@deplsr/tensor";
import type { Context } from "../commands/command.ts";
import { readImage } from "../data/image.ts";
import { type SheetEntry, writeSheetRows } from "../degrade/contact-sheet.ts";
import { withDevice } from "../device.ts";
import { UserError } from "../errors.ts";
import { loadUpscaler } from "../upscale/upscale.ts";
import { isEven, overlaid, range } from "./colour.ts";
import type { NetworkFlags } from "./features.ts";
import { runThrough, shownPart } from "./middle.ts";
import { placesFor } from "./places.ts";

const PLACE = 160;

/** One map over the positions of the image. */
interface FusionMap {
  readonly token: string;
  /** Attention over what even attention would give: 1 everywhere where nothing is preferred. */
  readonly values: Float64Array;
}

/** Does what `deplsr visualize fusion` asks for. */
export async function runFusion(flags: NetworkFlags, context: Context): Promise<void> {
  const { output } = context;
  const photo = await readImage(flags.image);
  const [file] = (await placesFor(flags.image, ["fusion.png"], flags)) as [string];
  await withDevice(flags, context, async (device) => {
    const { srclip, model } = flags;
    const upscaler = await loadUpscaler(device, model, {
      ...(srclip ? { srclip } : {}),
      warn: (text) => output.warn(text),
    });
    if (upscaler.srclip === null) {
      const what = upscaler.network.promptDim === null ? "is a DAT, which has no fusion" : "works without an SRCLIP";
      throw new UserError(`visualize: ${model} ${what}: give a RealDAT with --model, and its SRCLIP with --srclip`);
    }
    const part = shownPart(photo, context);
    const found: { group: number; maps: FusionMaps }[] = [];
    runThrough(
      device,
      upscaler,
      { photo, part },
      {
        onFusion: ({ image, content, degradation }, group) => {
          found.push({ group, maps: { image: keep(image), content: keep(content), degradation: keep(degradation) } });
        },
      },
    );
    if (found.length === 0)
      throw new UserError(`visualize: ${model} has no fusion block: give another RealDAT with --model`);
    const rows: (SheetEntry | null)[][] = [[{ image: part, caption: "what is shown" }]];
    const told: Record<string, unknown>[] = [];
    for (const { group, maps } of found) {
      const { toTokens, toImage } = await perToken(maps);
      const entry = (caption: string, { values }: FusionMap): SheetEntry => {
        const { min, max } = range({ values });
        const spread = isEven({ values }) ? "even" : `${min.toPrecision(4)} to ${max.toPrecision(4)}`;
        const plane = { width: part.width, height: part.height, values };
        return { image: overlaid(plane, part), caption: `${caption}\n${spread}` };
      };
      // Every pair holds the content: the image attends to it everywhere alike.
      rows.push([null, ...toTokens.map((map) => entry(`${group + 1}: image to ${map.token}`, map))]);
      rows.push(toImage.map((map) => entry(`${group + 1}: ${map.token} to image`, map)));
      const plain = (maps: readonly FusionMap[]): Record<string, unknown> =>
        Object.fromEntries(maps.map(({ token, values }) => [token, range({ values })]));
      told.push({ block: group + 1, imageToTokens: plain(toTokens), tokensToImage: plain(toImage) });
    }
    await writeSheetRows(file, rows, { place: PLACE });
    output.line(
      `${file}: for each fusion block how strongly positions attend to each degradation (beside the content, which is in all of them), then where each feature looks; 1 is even attention`,
    );
    output.result({ files: [file], blocks: told });
  });
}

/** The maps of an image, b = 1 and one content feature, by the name of the feature. */
async function perToken(maps: FusionMaps): Promise<{ toTokens: FusionMap[]; toImage: FusionMap[] }> {
  const [image, content, degradation] = await Promise.all([
    maps.image.data(),
    maps.content.data(),
    maps.degradation.data(),
  ]);
  const pairs = maps.image.shape[2]!;
  const positions = maps.image.shape[1]!;
  const names = FINE_FEATURES.slice(0, pairs);
  const looks = (values: ArrayLike<number>, row: number): Float64Array =>
    Float64Array.from({ length: positions }, (_, i) => values[row * positions + i]! * positions);
  return {
    toTokens: names.map((token, k) => ({
      token,
      values: Float64Array.from({ length: positions }, (_, i) => image[i * pairs + k]! * pairs),
    })),
    toImage: [
      { token: "content", values: looks(content, 0) },
      ...names.map((token, k) => ({ token, values: looks(degradation, k) })),
    ],
  };
}
