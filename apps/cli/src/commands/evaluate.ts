import { type Evaluation, evaluateSrclip } from "../evaluate/evaluate.ts";
import { ORIGINAL_STYLE } from "../evaluate/protocol.ts";
import { loadSrclip } from "../networks/srclip.ts";
import { type Output, table } from "../output.ts";
import { type Command, type DeviceFlags, deviceFlags, withDevice } from "./command.ts";

interface EvaluateFlags extends DeviceFlags {
  readonly checkpoint: string;
  readonly data: string;
  readonly template: string;
  readonly levels: "original" | "training";
  readonly fit: "squash" | "crop";
  readonly batch: number;
}

/** `deplsr evaluate`: how well an SRCLIP recognises degradations. */
export const evaluate: Command<EvaluateFlags> = {
  command: "evaluate",
  describe: "Measure how well an SRCLIP recognises the five degradations",
  options: (yargs) =>
    deviceFlags(yargs)
      .option("checkpoint", {
        type: "string",
        demandOption: true,
        describe: "A run's folder, or one of its checkpoints",
      })
      .option("data", { type: "string", demandOption: true, describe: "TSV with filepath, title ... title7" })
      .option("template", { type: "string", default: ORIGINAL_STYLE.template, describe: "What surrounds a prompt" })
      .option("levels", {
        choices: ["original", "training"] as const,
        default: ORIGINAL_STYLE.levels,
        describe: "Levels in prompts as the original writes them (15) or as the data set does (15.0)",
      })
      .option("fit", {
        choices: ["squash", "crop"] as const,
        default: "squash" as const,
        describe: "Squash an image to the network's square, or take the middle at native resolution",
      })
      .option("batch", { type: "number", default: 16, describe: "Images at a time" })
      .example("$0 evaluate --checkpoint runs/srclip-vit-b-32 --data val.tsv", "The paper's protocol")
      .example(
        "$0 evaluate --checkpoint runs/demo/srclip --data runs/demo/heldout/degraded.tsv --template '{prompt}' --levels training --fit crop",
        "The demo's",
      ),
  run: async (flags, context) => {
    const { output } = context;
    const result = await withDevice(flags, context, async (device) =>
      evaluateSrclip(await loadSrclip(device, flags.checkpoint), {
        data: flags.data,
        style: { template: flags.template, levels: flags.levels },
        imageFit: flags.fit,
        batchSize: Math.max(1, Math.floor(flags.batch)),
        output,
      }),
    );
    printEvaluation(result, output);
    output.result({ ...result });
  },
};

/** The accuracies beside what guessing reaches, as a table. */
export function printEvaluation({ accuracy, chance, constant, images, skipped }: Evaluation, output: Output): void {
  const percent = (share: number | undefined): string => `${(100 * (share ?? 0)).toFixed(1)} %`;
  const rows = Object.keys(accuracy).map((name) => [
    name,
    percent(accuracy[name]),
    percent(chance[name]),
    percent(constant[name]),
  ]);
  for (const line of table(["recognised", "accuracy", "chance", "best constant answer"], rows)) output.line(line);
  output.line(`${images} images${skipped > 0 ? `, ${skipped} left out` : ""}`);
}
