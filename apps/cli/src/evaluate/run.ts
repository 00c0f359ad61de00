import type { DeviceFlags, SharedContext } from "../commands/command.ts";
import { withDevice } from "../device.ts";
import { checkWhole } from "../flags.ts";
import { loadSrclip, protocolOf } from "../networks/srclip.ts";
import { Output } from "../output.ts";
import { fromFirst } from "../ranks/exchange.ts";
import { checkSameWeights } from "../ranks/same-files.ts";
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
export async function runEvaluate(flags: EvaluateFlags, { group, ...context }: SharedContext): Promise<void> {
  // The first process tells for all.
  const output = group.rank === 0 ? context.output : Output.silent();
  checkWhole("batch", flags.batch, 1);
  const trained = await protocolOf(flags.checkpoint);
  const { template = trained?.template ?? ORIGINAL_STYLE.template } = flags;
  const { levels = trained?.levels ?? ORIGINAL_STYLE.levels, fit = trained?.fit ?? "squash" } = flags;
  const kinds = styledKinds({ levels }).map(({ name }) => name);
  const { out } = flags;
  const files = await fromFirst(group, () => (out === undefined ? null : evaluationFiles(out, kinds, flags.overwrite)));
  const result = await withDevice(flags, { output }, async (device) => {
    const model = await loadSrclip(device, flags.checkpoint);
    await checkSameWeights(group, model);
    return evaluateSrclip(model, {
      data: flags.data,
      style: { template, levels },
      imageFit: fit,
      batchSize: flags.batch,
      output,
      group,
    });
  });
  if (group.rank > 0) return;
  printEvaluation(result, output);
  if (files !== null) {
    await writeEvaluation(result, files);
    output.line(`every answer is in ${files.answers}; the tables are beside it, confusion_${kinds[0]}.csv ...`);
  }
  output.result({ ...result, ...(files === null ? {} : { files }) });
}
