import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { inject } from "vitest";

/** What is run: the command as it is published. */
export const LAUNCHER = inject("launcher");

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
  /** Resolves once a file is there. */
  readonly writes: (path: string) => Promise<void>;
  /** Presses Ctrl-C: every process of the group gets the signal. */
  readonly interrupt: () => void;
  /** Sends a signal to every process of the group, or to the launcher alone. */
  readonly signal: (name: NodeJS.Signals, to?: "all" | "launcher") => void;
}

/** Starts the command. */
export function start(
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = {},
  launcher: string = LAUNCHER,
): Running {
  const child: ChildProcess = spawn(process.execPath, [launcher, ...args], {
    cwd,
    detached: true,
    env: { ...process.env, ...env },
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
  let over = false;
  void finished.finally(() => {
    over = true;
  });
  return {
    finished,
    writes: async (path) => {
      while (!existsSync(path)) {
        if (over) throw new Error(`the command ended before it wrote ${path}:\n${stderr}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
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
    signal: (name, to = "all") => void process.kill(to === "all" ? -child.pid! : child.pid!, name),
  };
}

/** Runs the command to its end. */
export function deplsr(args: readonly string[], cwd: string): Promise<Finished> {
  return start(args, cwd).finished;
}
