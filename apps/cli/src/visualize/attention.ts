/** The command `visualize attention`: where the class token of an SRCLIP looks. */
import { normalized } from "@deplsr/restore";
import { controlledBy, runAdaptor, type SrCLIP } from "@deplsr/srclip";
import { noGrad, scope, select, stack, type Tensor } from "@deplsr/tensor";
import type { Context, DeviceFlags } from "../commands/command.ts";
import { readImage } from "../data/image.ts";
import { inRows, type SheetEntry, writeSheetRows } from "../degrade/contact-sheet.ts";
import { withDevice } from "../device.ts";
import { askSrclip } from "../diagnose/asked.ts";
import { isEven, overlaid, type Plane, range } from "./colour.ts";
import { type PlaceFlags, placesFor } from "./places.ts";
import { framed, squareOf } from "./square.ts";

/** The flags of `deplsr visualize attention`. */
export interface AttentionFlags extends DeviceFlags, PlaceFlags {
  readonly image: string;
  readonly srclip: string;
  readonly square: string | undefined;
}

/** What the class token attends to, for each block of both towers. */
export interface ClassAttention {
  /** (blocks, 1 + patches) of the adaptor's blocks: the class token itself, then the patches row by row; rows sum to 1. */
  readonly adaptor: Tensor;
  /** The same of the frozen tower under the adaptor's control. */
  readonly tower: Tensor;
}

/** Where the class token of either tower looks in one image `(1, 3, s, s)`, as SRCLIP takes it; averaged over the heads. */
export function classAttention(model: SrCLIP, image: Tensor): ClassAttention {
  return noGrad(() =>
    scope(() => {
      const rows = (maps: readonly Tensor[]): Tensor =>
        stack(
          maps.map((map) => select(select(map, 0, 0), 0, 0)),
          0,
        );
      const { taps } = runAdaptor(model.visualControl, image);
      return {
        adaptor: rows(model.visualControl.attentionMaps(image)),
        tower: rows(model.clip.visual.attentionMaps(image, controlledBy(taps))),
      };
    }),
  );
}

/** Blocks that fit side by side on a sheet. */
const MOST_COLUMNS = 6;

/** Does what `deplsr visualize attention` asks for. */
export async function runAttention(flags: AttentionFlags, context: Context): Promise<void> {
  const { output } = context;
  const photo = await readImage(flags.image);
  const [file] = (await placesFor(flags.image, ["attention.png"], flags)) as [string];
  await withDevice(flags, context, async (device) => {
    const { model, protocol } = await askSrclip(device, flags.srclip);
    const { imageSize, patchSize, layers } = model.config.clip.vision;
    const square = squareOf(photo, imageSize, protocol.fit, flags.square);
    const seen = classAttention(model, normalized(device.tensor(square.planes, [1, 3, imageSize, imageSize])));
    const side = imageSize / patchSize;
    const blocks: { tower: string; block: number; classToken: number; plane: Plane }[] = [];
    for (const tower of ["adaptor", "tower"] as const) {
      for (const [block, row] of inRows([...(await seen[tower].data())], 1 + side * side).entries()) {
        blocks.push({
          tower,
          block: block + 1,
          classToken: row[0]!,
          plane: { width: side, height: side, values: row.slice(1) },
        });
      }
    }
    const { part } = square;
    const shown: SheetEntry[] = part
      ? [
          { image: framed(photo, part), caption: "the photograph" },
          { image: square.image, caption: `its square at ${part.left},${part.top}` },
        ]
      : [{ image: square.image, caption: "the photograph, squashed" }];
    const entries = blocks.map(({ tower, block, plane }) => {
      const { min, max } = range(plane);
      const name = tower === "adaptor" ? "adaptor" : "frozen tower";
      const spread = isEven(plane) ? `even: ${percent(max)}` : `${percent(min)} to ${percent(max)}`;
      const caption = `${name}, block ${block}\n${spread}`;
      return { image: overlaid(plane, square.image), caption };
    });
    const columns = Math.min(MOST_COLUMNS, layers);
    const towers = [entries.slice(0, layers), entries.slice(layers)];
    await writeSheetRows(file, [shown, ...towers.flatMap((tower) => inRows(tower, columns))]);
    output.line(
      `${file}: ${layers} blocks of the adaptor, then ${layers} of the frozen tower; violet is a block's least, yellow its most`,
    );
    output.result({
      files: [file],
      square: part,
      blocks: blocks.map(({ plane, ...rest }) => ({
        ...rest,
        ...range(plane),
        map: inRows(Array.from(plane.values), side),
      })),
    });
  });
}

/** A share with two digits. */
function percent(share: number): string {
  return `${Number((100 * share).toPrecision(2))} %`;
}
