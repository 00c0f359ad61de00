import { join } from "node:path";
import type { Context } from "../commands/command.ts";
import type { TrainFlags } from "../commands/train-flags.ts";
import { readConfig } from "../config/parse.ts";
import { srclipRun } from "../config/srclip.ts";
import { unusedWarnings } from "../config/unused.ts";
import { listSkipped, MOST_NAMED } from "../data/skipped.ts";
import { withDevice } from "../device.ts";
import { counted } from "../output.ts";
import { runSession } from "./session.ts";
import { srclipSettingsOf, unusedFlags } from "./settings.ts";
import { prepareSrclip } from "./srclip.ts";

/** Does what `deplsr train srclip` asks for. */
export async function runTrainSrclip(flags: TrainFlags, context: Context): Promise<void> {
  const { output } = context;
  const { config, warnings } = await readConfig(flags.config, srclipRun, srclipSettingsOf(flags));
  for (const warning of [...warnings, ...unusedWarnings({ ...config, ...unusedFlags(flags) })]) output.warn(warning);
  const folder = flags.out ?? join(config.logs ?? "runs", config.name);
  await withDevice(flags, context, async (device) => {
    const { training, skipped, model } = await prepareSrclip(device, config, output);
    output.line(`SRCLIP with ${model.parameterCount()} parameters; run folder ${folder}`);
    const result = await runSession({ training, folder, config, output });
    listSkipped(output, skipped(), `${counted(skipped().length, "item")} of the data set`, MOST_NAMED);
    output.result({ ...result, skipped: skipped().length });
  });
}
