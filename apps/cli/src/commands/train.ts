import type { CommandModule } from "yargs";
import type { Job } from "../ranks/job.ts";
import { bind, pointingToHelp } from "./command.ts";
import { trainSr } from "./train-sr.ts";
import { trainSrclip } from "./train-srclip.ts";

/** `deplsr train`: the group of the two trainings. */
export function train(job: Job): CommandModule {
  return {
    command: "train",
    describe: "Train one of the two networks: srclip or sr",
    builder: (yargs) =>
      pointingToHelp(yargs, "train")
        .command(bind(trainSrclip, job, "train"))
        .command(bind(trainSr, job, "train"))
        .demandCommand(1, "say what to train: srclip or sr"),
    handler: () => undefined,
  };
}
