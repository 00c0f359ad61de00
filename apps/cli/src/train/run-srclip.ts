import { join } from "node:path";
import type { SharedContext } from "../commands/command.ts";
import type { TrainFlags } from "../commands/train-flags.ts";
import { readConfig } from "../config/parse.ts";
import { type SrclipRunConfig, srclipRun } from "../config/srclip.ts";
import { unusedWarnings } from "../config/unused.ts";
import { withDevice } from "../device.ts";
import { evaluateSrclip } from "../evaluate/evaluate.ts";
import { printEvaluation } from "../evaluate/report.ts";
import { loadSrclip, makeSrclip } from "../networks/srclip.ts";
import { silentOutput } from "../output.ts";
import { fromFirst } from "../ranks/exchange.ts";
import { checkSame } from "../ranks/same.ts";
import { onLastingDevice } from "./lost-device.ts";
import { latestIn, planRun } from "./plan.ts";
import { runTraining } from "./run-training.ts";
import { srclipSettingsOf, unusedFlags } from "./settings.ts";
import { prepareSrclip } from "./srclip.ts";
import { evaluationOptions } from "./validate-srclip.ts";

/** Does what `deplsr train srclip` asks for. */
export async function runTrainSrclip(flags: TrainFlags, context: SharedContext): Promise<void> {
  const { group } = context;
  // All processes find the same to say, and fail alike.
  const output = group.rank === 0 ? context.output : silentOutput();
  const plan = await planRun(flags);
  const { config: own, warnings } = await readConfig(plan.config, srclipRun, srclipSettingsOf(flags));
  // It may have been drawn.
  const config = { ...own, seed: await fromFirst(group, () => own.seed) };
  for (const warning of [...warnings, ...unusedWarnings({ ...config, ...unusedFlags(flags) })]) output.warn(warning);
  const folder = plan.folder ?? join(config.logs ?? "runs", config.name);
  const from = plan.from === undefined ? await latestIn(folder) : plan.from;
  const { train_data } = config;
  if (train_data === null) return evaluateOnly(config, from, flags, { ...context, output });
  const beginning = { from, resume: flags.resume !== undefined, overwrite: flags.overwrite };
  await onLastingDevice(flags, { output, group }, folder, beginning, async (device, beginning) => {
    const run = { ...config, train_data };
    const { training, skipped, model } = await prepareSrclip(
      device,
      run,
      { folder, from: beginning.from },
      output,
      group,
    );
    output.line(`SRCLIP with ${model.parameterCount()} parameters; run folder ${folder}`);
    const { keep_last, keep_every, use_tb_logger: events } = config;
    const last = keep_last ?? (config.delete_previous_checkpoint ? 1 : null);
    const keep = { last, every: keep_every ?? null };
    const going = { folder, ...beginning, keep, events };
    await runTraining({ training, config, output, ...going, dryRun: flags["dry-run"], skipped });
  });
}

/** Measures on `val_data` the checkpoint to go on from, or the network that a training would start with, in all processes together; nothing is written. */
async function evaluateOnly(
  config: SrclipRunConfig,
  from: string | null,
  flags: TrainFlags,
  context: SharedContext,
): Promise<void> {
  const { output, group } = context;
  await checkSame(group, { config, from });
  if (from === null && config.pretrained === null) {
    output.warn("config: neither pretrained nor --resume names weights: random ones are evaluated");
  }
  const evaluation = await withDevice(flags, context, async (device) => {
    const model = from === null ? await makeSrclip(device, config) : await loadSrclip(device, from);
    return evaluateSrclip(model, evaluationOptions(config, output, group)!);
  });
  output.line(`no train_data: ${from ?? config.pretrained ?? "the network"} is evaluated on ${config.val_data}`);
  printEvaluation(evaluation, output);
  const { answers: _, ...measured } = evaluation;
  output.result(measured);
}
