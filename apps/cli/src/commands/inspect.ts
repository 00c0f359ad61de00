import type { InspectFlags } from "../inspect/run.ts";
import type { Command } from "./command.ts";

/** `deplsr inspect`: what is in a file of weights. */
export const inspect: Command<InspectFlags> = {
  command: "inspect <file>",
  describe: "Show what a file of weights holds and which network it is, without loading it",
  options: (yargs) =>
    yargs
      .positional("file", {
        type: "string",
        demandOption: true,
        describe: "A .pth, .pt, .bin or .safetensors file, or a run's folder",
      })
      .option("key", {
        type: "string",
        describe: "Which weights of the file, e.g. params or nets/generator; default params_ema, params",
      })
      .example("$0 inspect DAT_x4.pth", "Format, network, configuration and every tensor")
      .example("$0 inspect epoch_30.pt --json", "The same for a script")
      .epilogue(
        "Nothing in a file is executed: one that asks for more than tensors, containers and numbers is refused.",
      ),
  processes: "first",
  run: async (flags, context) => (await import("../inspect/run.ts")).runInspect(flags, context),
};
