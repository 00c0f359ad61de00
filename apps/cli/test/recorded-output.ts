import { SingleProcess } from "@deplsr/distributed";
import type { SharedContext } from "../src/commands/command.ts";
import { Output } from "../src/output.ts";

/** An output whose text is kept: people's lines, and the one object of `--json`. */
export interface RecordedOutput {
  readonly output: Output;
  readonly stdout: () => string;
  readonly stderr: () => string;
}

export function recordedOutput(json = false): RecordedOutput {
  const texts = { stdout: "", stderr: "" };
  const stream = (name: "stdout" | "stderr") => ({
    write: (text: string): void => {
      texts[name] += text;
    },
  });
  return {
    output: new Output(json ? "json" : "text", { stdout: stream("stdout"), stderr: stream("stderr") }),
    stdout: () => texts.stdout,
    stderr: () => texts.stderr,
  };
}

/** What a command gets that works alone. */
export function alone(output: Output): SharedContext {
  return { output, group: new SingleProcess() };
}
