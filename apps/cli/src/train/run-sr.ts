import { join } from "node:path";
import type { Context } from "../commands/command.ts";
import type { TrainFlags } from "../commands/train-flags.ts";
import { readConfig } from "../config/parse.ts";
import { srRun } from "../config/sr.ts";
import { unusedWarnings } from "../config/unused.ts";
import { listSkipped, MOST_NAMED } from "../data/skipped.ts";
import { withDevice } from "../device.ts";
import { counted } from "../output.ts";
import { runSession } from "./session.ts";
import { settingsOf, unusedFlags } from "./settings.ts";
import { prepareSr } from "./sr.ts";

/** Does what `deplsr train sr` asks for. */
export async function runTrainSr(flags: TrainFlags, context: Context): Promise<void> {
  const { output } = context;
  const { config, warnings } = await readConfig(flags.config, srRun, settingsOf(flags));
  for (const warning of [...warnings, ...unusedWarnings({ ...config, ...unusedFlags(flags) })]) output.warn(warning);
  const folder = flags.out ?? join("runs", config.name);
  await withDevice(flags, context, async (device) => {
    const { training, skipped, network } = await prepareSr(device, config, folder, output);
    output.line(`${config.network_g.type} with ${network.module.parameterCount()} parameters; run folder ${folder}`);
    const result = await runSession({ training, folder, config, output });
    listSkipped(output, skipped(), `${counted(skipped().length, "item")} of the data set`, MOST_NAMED);
    output.result({ ...result, skipped: skipped().length });
  });
}
