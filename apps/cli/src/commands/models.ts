import type { ModelsFlags } from "../models/run.ts";
import type { Command } from "./command.ts";

/** `deplsr models`: the trained networks in the box. */
export const models: Command<ModelsFlags> = {
  command: "models [name]",
  describe: "List the trained networks in the box, or show the card of one",
  options: (yargs) =>
    yargs
      .positional("name", { type: "string", describe: "Of a model: shows its card" })
      .example("$0 models", "What there is")
      .example("$0 models realdat-x2", "What it is for, how it was made, how good it is")
      .example("$0 upscale photo.jpg --model realdat-x2", "Takes it by its name, from any folder"),
  processes: "first",
  run: async (flags, context) => (await import("../models/run.ts")).runModels(flags, context),
};
