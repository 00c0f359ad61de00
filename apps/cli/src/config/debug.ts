/** What `--debug` changes, as in BasicSR: a name of its own, and everything that a run does now and then done soon. */
import { isGroup } from "./schema.ts";
import { type Setting, setting } from "./set.ts";

const named: Setting = (config) => {
  if (!isGroup(config) || typeof config.name !== "string" || config.name.startsWith("debug")) return config;
  return { ...config, name: `debug_${config.name}` };
};

/** A change for configurations that have a key. */
const where = (key: string, change: Setting): Setting => {
  return (config) => (isGroup(config) && config[key] !== undefined && config[key] !== null ? change(config) : config);
};

const sr: readonly Setting[] = [
  setting(["logger", "print_freq"], 1),
  setting(["logger", "save_checkpoint_freq"], 8),
  setting(["logger", "use_tb_logger"], false),
  setting(["logger", "wandb"], undefined),
  where("val", setting(["val", "val_freq"], 8)),
];

const srclip: readonly Setting[] = [
  setting(["log_every_n_steps"], 1),
  setting(["save_frequency"], 8),
  where("val_data", setting(["val_frequency"], 8)),
];

/** The changes of `--debug`: a configuration with `train_data` or `val_data` is SRCLIP's. */
export const debugSettings: readonly Setting[] = [
  named,
  (config) =>
    (isGroup(config) && ("train_data" in config || "val_data" in config) ? srclip : sr).reduce(
      (current, change) => change(current),
      config,
    ),
];
