/** The command `diagnose`. */
import { diagnose, type KindDiagnosis } from "@deplsr/restore";
import { DIAGNOSIS_KINDS, encodePrompts } from "@deplsr/srclip";
import type { Context, DeviceFlags } from "../commands/command.ts";
import { withDevice } from "../device.ts";
import { oneLine, UserError } from "../errors.ts";
import { styledKinds, templateOf } from "../evaluate/protocol.ts";
import { counted } from "../output.ts";
import { describeLeftOut, findPhotos } from "../photo/find.ts";
import { readPhoto } from "../photo/read.ts";
import { askSrclip } from "./asked.ts";
import { chart } from "./chart.ts";

/** The flags of `deplsr diagnose`. */
export interface DiagnoseFlags extends DeviceFlags {
  readonly images: readonly string[];
  readonly recursive: boolean;
  readonly srclip: string;
  readonly all: boolean;
}

/** Does what `deplsr diagnose` asks for. */
export async function runDiagnose(flags: DiagnoseFlags, context: Context): Promise<void> {
  const { output } = context;
  const { photos, leftOut } = await findPhotos(flags.images, { recursive: flags.recursive });
  const others = describeLeftOut(leftOut);
  if (others !== null) output.warn(others);
  await withDevice(flags, context, async (device) => {
    const { model, protocol, prompt, tokenizer } = await askSrclip(device, flags.srclip);
    const kinds = styledKinds(protocol, DIAGNOSIS_KINDS);
    const { contextLength } = model.config.clip.text;
    const features = encodePrompts(model, device, tokenizer, kinds, { template: templateOf(protocol), contextLength });
    const images: Record<string, unknown>[] = [];
    const skipped: { name: string; reason: string }[] = [];
    for (const { path } of photos) {
      try {
        const found = await diagnose(model, await readPhoto(path), { prompt, kinds, features });
        output.line(path === "-" ? "stdin" : path);
        for (const line of chart(found, flags.all)) output.line(`  ${line}`);
        images.push({ in: path, degradations: Object.fromEntries(found.map(plain)) });
      } catch (error) {
        // A damaged photograph does not stop the others; a lost device does.
        if (!(error instanceof UserError) || photos.length === 1) throw error;
        skipped.push({ name: path, reason: oneLine(error) });
        output.warn(`${path} is left out: ${oneLine(error)}`);
      }
    }
    if (images.length === 0)
      throw new UserError(
        `diagnose: none of the ${counted(photos.length, "photograph")} can be read: ${skipped[0]!.reason}`,
      );
    output.result({ images, ...(skipped.length > 0 ? { skipped } : {}) });
    if (skipped.length > 0) process.exitCode = 1;
  });
}

function plain({ name, level, probability, levels }: KindDiagnosis): [string, Record<string, unknown>] {
  return [name, { level, probability, levels: Object.fromEntries(levels) }];
}
