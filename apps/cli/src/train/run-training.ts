/** What `deplsr train sr` and `train srclip` do with a training that is ready. */
import type { Tensor } from "@deplsr/tensor";
import { listSkipped, MOST_NAMED, type SkippedItem } from "../data/skipped.ts";
import { counted } from "../output.ts";
import { checkCards } from "../ranks/cards.ts";
import { gather } from "../ranks/exchange.ts";
import { checkSame } from "../ranks/same.ts";
import { dryRunLines, tryTraining } from "./dry-run.ts";
import { followSession } from "./follow.ts";
import { fingerprint } from "./ranks.ts";
import { runSession, type SessionOptions } from "./session.ts";

/** A training that was asked for. */
export interface AskedTraining extends SessionOptions {
  readonly dryRun: boolean;
  /** Items of the data set that could not be used so far, by this process. */
  readonly skipped: () => readonly SkippedItem[];
}

/**
 * Trains, or tries to (`--dry-run`), and tells what came of it. Of processes that train together the first one tells.
 *
 * @throws UserError where the processes were not asked for the same, before anything is written
 */
export async function runTraining(asked: AskedTraining): Promise<void> {
  const { training, config, folder, from = null, output, dryRun } = asked;
  const { ranks, files, device } = training;
  await checkCards(ranks.group, device.info.backend);
  const data = fingerprint(files);
  await checkSame(ranks.group, { config, folder, from, data, backend: device.info.backend });
  if (dryRun) {
    await ranks.start(training.state(), training.frozen);
    const parameters: ReadonlyMap<string, Tensor> = training.module.parameters();
    const tried = await tryTraining(device, training, parameters);
    for (const line of dryRunLines(config, training.total, tried)) output.line(line);
    output.result({ config, ...tried });
    return;
  }
  const result = ranks.leads ? await runSession(asked) : await followSession(training, from);
  const skipped = await allSkipped(asked);
  if (!result) return;
  const { exitCode, ...told } = result;
  listSkipped(output, skipped, `${counted(skipped.length, "item")} of the data set`, MOST_NAMED);
  output.result({ ...told, skipped: skipped.length });
  if (exitCode > 0) process.exitCode = exitCode;
}

/** What any of the processes has left out, each once. */
async function allSkipped({ training, skipped }: AskedTraining): Promise<readonly SkippedItem[]> {
  const all = (await gather(training.ranks.group, skipped())).flat();
  return [...new Map(all.map((item) => [item.name, item])).values()];
}
