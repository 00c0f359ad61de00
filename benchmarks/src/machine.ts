import { cpus, loadavg } from "node:os";
import { commitOf } from "./checkout.ts";

/** Where and of what a measurement is: without it a time means nothing. */
export interface Machine {
  readonly date: string;
  /** Short hash of the checkout, with `+` when files differ from it; "unknown" outside a repository. */
  readonly commit: string;
  /** Its version, and the experiments it was told to switch on, which every contender's process inherits. */
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  /** Processes that wanted to run in the last minute. Above the number of cores, something else takes part of them. */
  readonly load: number;
}

/** The machine as it is now. */
export function describeMachine(): Machine {
  const processors = cpus();
  return {
    date: new Date().toISOString(),
    commit: commitOf(),
    node: [process.versions.node, ...process.execArgv.filter((flag) => flag.startsWith("--experimental-"))].join(" "),
    cpu: processors[0]?.model.trim() ?? "unknown",
    cores: processors.length,
    load: Math.round(loadavg()[0]! * 100) / 100,
  };
}
