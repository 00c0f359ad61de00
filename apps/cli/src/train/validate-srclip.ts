/** How well an SRCLIP recognises the five degradations of `val_data`, and images and captions each other, while it is trained. */
import { type ProcessGroup, SingleProcess } from "@deplsr/distributed";
import type { SrCLIPV2 } from "@deplsr/srclip";
import type { SrclipRunConfig } from "../config/srclip.ts";
import { type EvaluationOptions, evaluateSrclip } from "../evaluate/evaluate.ts";
import { isLowerBetter } from "../evaluate/retrieval.ts";
import { counted, type Output } from "../output.ts";
import { evaluationLine } from "./run-log.ts";
import type { Validating } from "./session.ts";

/**
 * Null where there is no `val_data`. Without `val_frequency` it runs with every checkpoint.
 *
 * @param epochsAfter whole epochs that are done after a step
 * @param context `output` says what is found; the processes of `group` share the images
 */
export function srclipValidation(
  model: SrCLIPV2,
  run: SrclipRunConfig,
  epochsAfter: (step: number) => number,
  { output, group }: { readonly output: Output; readonly group: ProcessGroup },
): Validating | null {
  const options = evaluationOptions(run, output, group);
  if (!options) return null;
  let said = false;
  return {
    every: run.val_frequency ?? run.save_frequency,
    counts: {},
    run: async (step) => {
      const { accuracy, retrieval, images, skipped } = await evaluateSrclip(model, options);
      // The same in every validation is said in the first.
      for (const { name, reason } of said ? [] : skipped) output.warn(`validation: ${name} is left out: ${reason}`);
      if (!said) output.line(`validation: val_data has ${counted(images, "image")}`);
      said = true;
      const shares = Object.values(accuracy);
      const mean = shares.reduce((sum, value) => sum + value, 0) / shares.length;
      const values = { accuracy: mean, ...accuracy, ...retrieval };
      const metrics = Object.entries(values).map(
        ([name, value]) => [name, { value, lowerBetter: isLowerBetter(name) }] as const,
      );
      const epoch = epochsAfter(step);
      const lines = [evaluationLine(epoch, { ...values, epoch, num_samples: images, step })];
      return [{ dataSet: "val_data", metrics: Object.fromEntries(metrics), pictures: [], keep: ["accuracy"], lines }];
    },
  };
}

/** How `val_data` is measured; null where there is none. */
export function evaluationOptions(
  { val_data: data, val_template: template, val_levels: levels, image_fit: imageFit, batch_size }: SrclipRunConfig,
  output: Output,
  group: ProcessGroup = new SingleProcess(),
): EvaluationOptions | null {
  return data === null ? null : { data, style: { template, levels }, imageFit, batchSize: batch_size, output, group };
}
