/** How well an SRCLIP recognises the five degradations of `val_data`, while it is trained. */
import type { SrCLIPV2 } from "@deplsr/srclip";
import type { SrclipRunConfig } from "../config/srclip.ts";
import { evaluateSrclip } from "../evaluate/evaluate.ts";
import { ORIGINAL_STYLE } from "../evaluate/protocol.ts";
import { counted, type Output } from "../output.ts";
import type { Validating } from "./session.ts";

/** Null where there is no `val_data`. Without `val_frequency` it runs with every checkpoint. */
export function srclipValidation(model: SrCLIPV2, run: SrclipRunConfig, output: Output): Validating | null {
  const { val_data: data } = run;
  if (data === null) return null;
  let said = false;
  return {
    every: run.val_frequency ?? run.save_frequency,
    counts: {},
    run: async () => {
      const { accuracy, images, skipped } = await evaluateSrclip(model, {
        data,
        style: ORIGINAL_STYLE,
        imageFit: run.image_fit,
        batchSize: run.batch_size,
        output,
      });
      // The same in every validation is said in the first.
      for (const { name, reason } of said ? [] : skipped) output.warn(`validation: ${name} is left out: ${reason}`);
      if (!said) output.line(`validation: val_data has ${counted(images, "image")}`);
      said = true;
      const shares = Object.entries(accuracy).map(([name, value]) => [name, { value, lowerBetter: false }] as const);
      const mean = shares.reduce((sum, [, { value }]) => sum + value, 0) / Math.max(1, shares.length);
      const metrics = { accuracy: { value: mean, lowerBetter: false }, ...Object.fromEntries(shares) };
      return [{ dataSet: "val_data", metrics, pictures: [], keep: ["accuracy"] }];
    },
  };
}
