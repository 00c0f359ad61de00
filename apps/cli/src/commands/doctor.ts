import { type Command, type DeviceFlags, deviceFlags } from "./command.ts";

/** `deplsr doctor`: what this machine can compute with, how fast and whether rightly, which backend is taken, and what to install. */
export const doctor: Command<DeviceFlags> = {
  command: "doctor",
  describe: "Measure both backends for a second each, say which one is taken and what to install",
  options: (yargs) =>
    deviceFlags(yargs)
      .example("$0 doctor", "What is here, how fast it is, and what is taken")
      .example("$0 doctor --adapter swiftshader --json", "The same with another adapter, for a script"),
  processes: "first",
  run: async (flags, context) => (await import("../doctor.ts")).runDoctor(flags, context),
};
