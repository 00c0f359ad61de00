import { join } from "node:path";
import type { Context } from "../commands/command.ts";
import type { TrainFlags } from "../commands/train-flags.ts";
import { readConfig } from "../config/parse.ts";
import { srRun } from "../config/sr.ts";
import { unusedWarnings } from "../config/unused.ts";
import { listSkipped, MOST_NAMED } from "../data/skipped.ts";
import { counted } from "../output.ts";
import { dryRunLines, tryTraining } from "./dry-run.ts";
import { onLastingDevice } from "./lost-device.ts";
import { latestIn, planRun } from "./plan.ts";
import { runSession } from "./session.ts";
import { settingsOf, unusedFlags } from "./settings.ts";
import { prepareSr } from "./sr.ts";

/** Does what `deplsr train sr` asks for. */
export async function runTrainSr(flags: TrainFlags, context: Context): Promise<void> {
  const { output } = context;
  const asked = await planRun(flags);
  const { config, warnings } = await readConfig(asked.config, srRun, settingsOf(flags));
  const resume = flags.resume ?? config.path.resume_state ?? undefined;
  const plan = resume === flags.resume ? asked : await planRun({ ...flags, config: asked.config, resume });
  for (const warning of [...warnings, ...unusedWarnings({ ...config, ...unusedFlags(flags) })]) output.warn(warning);
  const folder = plan.folder ?? join("runs", config.name);
  const from = plan.from === undefined ? await latestIn(folder) : plan.from;
  const beginning = { from, resume: resume !== undefined, overwrite: flags.overwrite };
  await onLastingDevice(flags, context, folder, beginning, async (device, beginning) => {
    const { training, skipped, network } = await prepareSr(device, config, folder, output);
    output.line(`${config.network_g.type} with ${network.module.parameterCount()} parameters; run folder ${folder}`);
    if (flags["dry-run"]) {
      const tried = await tryTraining(device, training, network.module.parameters());
      for (const line of dryRunLines(config, training.total, tried)) output.line(line);
      output.result({ config, ...tried });
      return;
    }
    const { keep_last, keep_every, use_tb_logger: events } = config.logger;
    const keep = { last: keep_last ?? null, every: keep_every ?? null };
    const going = { folder, ...beginning, keep, events };
    const { exitCode, ...result } = await runSession({ training, config, output, ...going });
    listSkipped(output, skipped(), `${counted(skipped().length, "item")} of the data set`, MOST_NAMED);
    output.result({ ...result, skipped: skipped().length });
    if (exitCode > 0) process.exitCode = exitCode;
  });
}
