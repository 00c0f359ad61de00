import { dirname, join } from "node:path";
import type { SharedContext } from "../commands/command.ts";
import { resolveBeside } from "../data/captioned.ts";
import { listSkipped } from "../data/skipped.ts";
import { withDevice } from "../device.ts";
import { counted, Output } from "../output.ts";
import { describeRecipe } from "./describe.ts";
import { writePreview } from "./preview.ts";
import { type DegradeFlags, wantedSet } from "./request.ts";
import { synthesize } from "./synthesize.ts";

/** Does what `deplsr degrade` asks for. */
export async function runDegrade(flags: DegradeFlags, { group, ...context }: SharedContext): Promise<void> {
  // The first process tells for all.
  const output = group.rank === 0 ? context.output : Output.silent();
  const started = performance.now();
  const { request, preview, skipped: unusable } = await wantedSet(flags, { output, group });
  const { table, fallback } = request;
  const result = await withDevice(flags, { output }, (device) => synthesize(device, request, { output, group }));
  if (group.rank > 0) return;
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
