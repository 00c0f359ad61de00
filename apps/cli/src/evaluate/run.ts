import type { Context, DeviceFlags } from "../commands/command.ts";
import { withDevice } from "../device.ts";
import { checkWhole } from "../flags.ts";
import { loadSrclip, protocolOf } from "../networks/srclip.ts";
import { evaluateSrclip } from "./evaluate.ts";
import { ORIGINAL_STYLE, styledKinds } from "./protocol.ts";
import { evaluationFiles, printEvaluation, writeEvaluation } from "./report.ts";

/** The flags of `deplsr evaluate`. */
export interface EvaluateFlags extends DeviceFlags {
  readonly checkpoint: string;
  readonly data: string;
  readonly template: string | undefined;
  readonly levels: "original" | "training" | undefined;
  readonly fit: "squash" | "crop" | undefined;
  readonly batch: number;
  readonly out: string | undefined;
  readonly overwrite: boolean;
}

/** Does what `deplsr evaluate` asks for. */
export async function runEvaluate(flags: EvaluateFlags, context: Context): Promise<void> {
  const { output } = context;
  checkWhole("batch", flags.batch, 1);
  const trained = await protocolOf(flags.checkpoint);
  const { template = trained?.template ?? ORIGINAL_STYLE.template } = flags;
  const { levels = trained?.levels ?? ORIGINAL_STYLE.levels, fit = trained?.fit ?? "squash" } = flags;
  const kinds = styledKinds({ levels }).map(({ name }) => name);
  const files = flags.out === undefined ? null : await evaluationFiles(flags.out, kinds, flags.overwrite);
  const result = await withDevice(flags, context, async (device) =>
    evaluateSrclip(await loadSrclip(device, flags.checkpoint), {
      data: flags.data,
      style: { template, levels },
      imageFit: fit,
      batchSize: flags.batch,
      output,
    }),
  );
  printEvaluation(result, output);
  if (files !== null) {
    await writeEvaluation(result, files);
    output.line(`every answer is in ${files.answers}; the tables are beside it, confusion_${kinds[0]}.csv ...`);
  }
  output.result({ ...result, ...(files === null ? {} : { files }) });
}
