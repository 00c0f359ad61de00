import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const LAUNCHER = fileURLToPath(new URL("../../bin/deplsr.js", import.meta.url));

/** What a finished command printed and how it ended. */
export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs in a process group of its own, as a terminal would have it. */
export interface Running {
  readonly finished: Promise<Finished>;
  /** Resolves once the text has appeared on stderr. */
  readonly says: (text: string) => Promise<void>;
  /** Presses Ctrl-C: every process of the group gets the signal. */
  readonly interrupt: () => void;
}

/** Starts the command. */
export function start(args: readonly string[], cwd: string): Running {
  const child: ChildProcess = spawn(process.execPath, [LAUNCHER, ...args], {
    cwd,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  const waiting: { text: string; resolve: () => void }[] = [];
  child.stdout!.on("data", (data) => {
    stdout += data;
  });
  child.stderr!.on("data", (data) => {
    stderr += data;
    for (const { text, resolve } of waiting) if (stderr.includes(text)) resolve();
  });
  const finished = new Promise<Finished>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
  return {
    finished,
    says: (text) =>
      Promise.race([
        new Promise<void>((resolve) => {
          waiting.push({ text, resolve });
          if (stderr.includes(text)) resolve();
        }),
        finished.then(({ code }) => {
          throw new Error(`the command ended with ${code} before it said ${JSON.stringify(text)}:\n${stderr}`);
        }),
      ]),
    interrupt: () => void process.kill(-child.pid!, "SIGINT"),
  };
}

/** Runs the command to its end. */
export function deplsr(args: readonly string[], cwd: string): Promise<Finished> {
  return start(args, cwd).finished;
}
