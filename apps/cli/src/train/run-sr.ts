import { join } from "node:path";
import type { SharedContext } from "../commands/command.ts";
import type { TrainFlags } from "../commands/train-flags.ts";
import { readConfig } from "../config/parse.ts";
import { srRun } from "../config/sr.ts";
import { unusedWarnings } from "../config/unused.ts";
import { silentOutput } from "../output.ts";
import { fromFirst } from "../ranks/exchange.ts";
import { onLastingDevice } from "./lost-device.ts";
import { latestIn, planRun } from "./plan.ts";
import { runTraining } from "./run-training.ts";
import { settingsOf, unusedFlags } from "./settings.ts";
import { prepareSr } from "./sr.ts";

/** Does what `deplsr train sr` asks for. */
export async function runTrainSr(flags: TrainFlags, context: SharedContext): Promise<void> {
  const { group } = context;
  // All processes find the same to say, and fail alike.
  const output = group.rank === 0 ? context.output : silentOutput();
  const asked = await planRun(flags);
  const { config: own, warnings } = await readConfig(asked.config, srRun, settingsOf(flags));
  // It may have been drawn.
  const config = { ...own, manual_seed: await fromFirst(group, () => own.manual_seed) };
  const resume = flags.resume ?? config.path.resume_state ?? undefined;
  const plan = resume === flags.resume ? asked : await planRun({ ...flags, config: asked.config, resume });
  for (const warning of [...warnings, ...unusedWarnings({ ...config, ...unusedFlags(flags) })]) output.warn(warning);
  const folder = plan.folder ?? join("runs", config.name);
  const from = plan.from === undefined ? await latestIn(folder) : plan.from;
  const beginning = { from, resume: resume !== undefined, overwrite: flags.overwrite };
  await onLastingDevice(flags, { output, group }, folder, beginning, async (device, beginning) => {
    const { training, skipped, network } = await prepareSr(device, config, folder, output, group);
    output.line(`${config.network_g.type} with ${network.module.parameterCount()} parameters; run folder ${folder}`);
    const { keep_last, keep_every, use_tb_logger: events } = config.logger;
    const keep = { last: keep_last ?? null, every: keep_every ?? null };
    const going = { folder, ...beginning, keep, events };
    await runTraining({ training, config, output, ...going, dryRun: flags["dry-run"], skipped });
  });
}
