import { basename } from "node:path";
import { fitNiqe, formatNiqeModel, pristineFeatures } from "@deplsr/metrics";
import type { Context } from "../commands/command.ts";
import { listImages } from "../data/folder.ts";
import { readImage } from "../data/image.ts";
import { listSkipped, type SkippedItem } from "../data/skipped.ts";
import { oneLine, UserError } from "../errors.ts";
import { checkPlace, writeFileAtomic } from "../files.ts";
import { refuseExisting } from "../flags.ts";
import { counted } from "../output.ts";

/** The flags of `deplsr iqa fit-niqe`. */
export interface FitNiqeFlags {
  readonly photographs: string;
  readonly out: string;
  readonly about: string | undefined;
  readonly overwrite: boolean;
}

/** Does what `deplsr iqa fit-niqe` asks for. */
export async function runFitNiqe(
  { photographs: folder, out, about, overwrite }: FitNiqeFlags,
  { output }: Context,
): Promise<void> {
  await refuseExisting("fit-niqe", out, overwrite);
  const files = await listImages(folder);
  await checkPlace(out);
  const photographs: string[] = [];
  const blocks: Float64Array[] = [];
  const skipped: SkippedItem[] = [];
  const bar = output.progress("fit-niqe", files.length, "photograph");
  for (const [i, file] of files.entries()) {
    try {
      const features = pristineFeatures(await readImage(file));
      if (features.length === 0) throw new UserError("it has no block of 96 x 96 pixels with texture");
      photographs.push(basename(file));
      blocks.push(...features);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      skipped.push({ name: file, reason: oneLine(error) });
    }
    bar.update(i + 1);
  }
  bar.finish();
  listSkipped(output, skipped, `${skipped.length} of ${counted(files.length, "photograph")}`);
  const facts = { ...(about !== undefined && { about }), photographs, blocks: blocks.length };
  await writeFileAtomic(out, formatNiqeModel(fitNiqe(blocks, basename(out)), facts));
  output.line(
    `${out}: fitted to ${counted(blocks.length, "sharp block")} of ${counted(photographs.length, "photograph")}`,
  );
  output.result({
    out,
    photographs: photographs.length,
    blocks: blocks.length,
    ...(skipped.length > 0 && { skipped }),
  });
}
