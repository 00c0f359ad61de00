/** A training in all processes but the first: they take the same steps, and leave everything else to that one. */
import { Interrupt } from "../interrupt.ts";
import { READ_EVERY, runLoop } from "./loop.ts";
import { beginTraining, type Training } from "./session.ts";

/** Trains until the first process does no more, which is to tell. @param from the checkpoint to go on from; null for none */
export async function followSession(training: Training, from: string | null): Promise<null> {
  const { names, total, saveEvery, saveAlso, validation, ranks, device } = training;
  const { step: done } = await beginTraining(training, from);
  using interrupt = new Interrupt(() => {}).listen();
  ranks.listen(() => interrupt.exitCode);
  await runLoop({
    names,
    done,
    total,
    readEvery: READ_EVERY,
    saveEvery,
    ...(saveAlso ? { saveAlso } : {}),
    step: (step) => {
      ranks.slow.begin();
      return training.step(step);
    },
    pace: () => device.pace(),
    report: () => {},
    ...(validation
      ? { validation: { every: validation.every, run: async (step: number) => void (await validation.run(step)) } }
      : {}),
    save: (step) => ranks.check(step),
    stopRequested: () => ranks.stopCode > 0,
    // The first process reads the same numbers, and tells.
    skipped: Number.POSITIVE_INFINITY,
  });
  await ranks.end();
  return null;
}
