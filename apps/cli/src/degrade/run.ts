import { dirname, join } from "node:path";
import type { Context } from "../commands/command.ts";
import { resolveBeside } from "../data/captioned.ts";
import { listSkipped } from "../data/skipped.ts";
import { withDevice } from "../device.ts";
import { counted } from "../output.ts";
import { describeRecipe } from "./describe.ts";
import { writePreview } from "./preview.ts";
import { type DegradeFlags, wantedSet } from "./request.ts";
import { synthesize } from "./synthesize.ts";

/** Does what `deplsr degrade` asks for. */
export async function runDegrade(flags: DegradeFlags, context: Context): Promise<void> {
  const { output } = context;
  const started = performance.now();
  const { request, preview, skipped: unusable } = await wantedSet(flags, output);
  const { table, fallback } = request;
  const result = await withDevice(flags, context, (device) => synthesize(device, request, output));
  const { records, kept, captionless } = result;
  const skipped = [...unusable, ...result.skipped];
  listSkipped(
    output,
    skipped,
    counted(skipped.length, "photograph or entry of a list", "photographs or entries of lists"),
  );
  if (captionless.length > 0) {
    output.warn(
      `${counted(captionless.length, "caption")} failed; run again to try once more. Until then "${fallback}" stands for:`,
    );
    for (const { reason } of captionless) output.warn(reason);
  }
  if (preview !== null) await writePreview(preview, request, records, output);
  const before = kept > 0 ? ` (${kept} of them by an earlier run)` : "";
  output.line(`${counted(records.length, "image")}${before}; what was done to each is in ${request.records}`);
  if (table !== null) output.line(`trainings read ${table}`);
  if (preview !== null) output.line(`contact sheet: ${preview}`);
  output.result({
    images: records.map((record) => ({
      in: resolveBeside(request.records, record.in),
      out: join(dirname(request.records), record.out),
      degradation: describeRecipe(record),
    })),
    tsv: table,
    records: request.records,
    preview,
    kept,
    skipped,
    captionless,
    ms: Math.round(performance.now() - started),
  });
}
