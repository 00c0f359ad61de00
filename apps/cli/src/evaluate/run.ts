import type { Context, DeviceFlags } from "../commands/command.ts";
import { listSkipped } from "../data/skipped.ts";
import { withDevice } from "../device.ts";
import { checkWhole } from "../flags.ts";
import { loadSrclip, protocolOf } from "../networks/srclip.ts";
import { counted, type Output, table } from "../output.ts";
import { type Evaluation, evaluateSrclip } from "./evaluate.ts";
import { ORIGINAL_STYLE } from "./protocol.ts";
import type { RetrievalValues } from "./retrieval.ts";

/** The flags of `deplsr evaluate`. */
export interface EvaluateFlags extends DeviceFlags {
  readonly checkpoint: string;
  readonly data: string;
  readonly template: string | undefined;
  readonly levels: "original" | "training" | undefined;
  readonly fit: "squash" | "crop" | undefined;
  readonly batch: number;
}

/** So many of those left out are named. */
const NAMED = 5;

/** Does what `deplsr evaluate` asks for. */
export async function runEvaluate(flags: EvaluateFlags, context: Context): Promise<void> {
  const { output } = context;
  checkWhole("batch", flags.batch, 1);
  const trained = await protocolOf(flags.checkpoint);
  const { template = trained?.template ?? ORIGINAL_STYLE.template } = flags;
  const { levels = trained?.levels ?? ORIGINAL_STYLE.levels, fit = trained?.fit ?? "squash" } = flags;
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
  output.result({ ...result });
}

/**
 * The accuracies beside what guessing reaches and the retrieval, as tables, and which images were left out.
 *
 * @param ranks whether the retrieval is told: where many images have one caption it says nothing
 */
export function printEvaluation(evaluation: Evaluation, output: Output, { ranks = true } = {}): void {
  const { accuracy, chance, constant, retrieval, images, skipped } = evaluation;
  const rows = Object.keys(accuracy).map((name) => [
    name,
    percent(accuracy[name]),
    percent(chance[name]),
    percent(constant[name]),
  ]);
  for (const line of table(["recognised", "accuracy", "chance", "best constant answer"], rows)) output.line(line);
  for (const line of ranks && retrieval ? retrievalLines(retrieval) : []) output.line(line);
  output.line(counted(images, "image"));
  listSkipped(output, skipped, `${skipped.length} of ${counted(images + skipped.length, "image")}`, NAMED);
}

function retrievalLines(retrieval: RetrievalValues): string[] {
  const columns = ["mean_rank", "median_rank", "R@1", "R@5", "R@10"];
  const rows = ["image_to_text", "text_to_image"].map((direction) => {
    const values = columns.map((column) => retrieval[`${direction}_${column}`]!);
    return [direction, ...values.map((value, i) => (i < 2 ? value.toFixed(1) : percent(value)))];
  });
  return [...table(["found among all", ...columns], rows), `clip_val_loss ${retrieval.clip_val_loss!.toFixed(4)}`];
}

function percent(share: number | undefined): string {
  return `${(100 * (share ?? 0)).toFixed(1)} %`;
}
