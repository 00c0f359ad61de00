import type { ConvertFlags } from "../convert/run.ts";
import type { Command } from "./command.ts";

/** `deplsr convert`: weights from one file format to another. */
export const convert: Command<ConvertFlags> = {
  command: "convert <in> <out>",
  describe: "Convert weights to or from safetensors",
  options: (yargs) =>
    yargs
      .positional("in", {
        type: "string",
        demandOption: true,
        describe: "A .pth, .pt, .bin or .safetensors file, or a run's folder",
      })
      .positional("out", {
        type: "string",
        demandOption: true,
        describe: "A .safetensors file, or a .pth, .pt or .bin file that PyTorch reads",
      })
      .option("key", {
        type: "string",
        describe: "Which weights of the file, e.g. params or nets/generator; default params_ema, params",
      })
      .option("fp16", { type: "boolean", default: false, describe: "Floats in half precision" })
      .option("overwrite", { type: "boolean", default: false, describe: "Replace the file where there is one" })
      .example("$0 convert DAT_x4.pth DAT_x4.safetensors", "PyTorch to safetensors")
      .example(
        "$0 convert runs/train_RealDAT_x4 realdat.pth --fp16",
        "A run's newest weights for PyTorch, half as large",
      )
      .epilogue(
        "A .pth holds the tensors themselves: BasicSR loads it with `param_key_g: ~`, not under `params`. That of a run with averages " +
          "(train.ema_decay) holds both, under `params` and `params_ema`; otherwise the averages are what is written.",
      ),
  processes: "first",
  run: async (flags, context) => (await import("../convert/run.ts")).runConvert(flags, context),
};
