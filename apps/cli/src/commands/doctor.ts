import { type Command, type DeviceFlags, deviceFlags } from "./command.ts";

/** `deplsr doctor`: what this machine can compute with, whether it computes rightly, and what would make it faster. */
export const doctor: Command<DeviceFlags> = {
  command: "doctor",
  describe: "Show adapters, limits and a one-second self test; say what to install",
  options: (yargs) =>
    deviceFlags(yargs)
      .example("$0 doctor", "What is here, and which adapter is taken")
      .example("$0 doctor --adapter swiftshader --json", "The same for another adapter, for a script"),
  run: async (flags, context) => (await import("../doctor.ts")).runDoctor(flags, context),
};
