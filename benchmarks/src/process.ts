import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { DeviceOptions } from "@deplsr/tensor";
import type { ContenderName } from "./contender.ts";
import type { Answers, Reply, Request } from "./wire.ts";

type Asked<D extends Request["do"]> = Omit<Extract<Request, { do: D }>, "id" | "do">;

/** How a contender's process is started. */
export interface ProcessOptions {
  readonly device: DeviceOptions;
  /** Variables besides those of this process. */
  readonly environment: Readonly<Record<string, string>>;
  /** ms that an answer may take. */
  readonly timeout: number;
  /** What the process runs; default child.ts. */
  readonly script?: URL;
}

interface Waiting {
  readonly id: number;
  resolve(reply: Reply): void;
  reject(error: Error): void;
}

const CHILD = new URL("./child.ts", import.meta.url);

/** How much of what a process prints is kept for the message about its end. */
const KEPT = 4000;

/**
 * A contender in a process of its own: a driver that crashes, or a library that never comes back, ends that process and is an error here.
 */
export class ContenderProcess {
  readonly name: ContenderName;
  readonly #child: ChildProcess;
  readonly #timeout: number;
  #waiting: Waiting | undefined;
  #printed = "";
  #requests = 0;
  #ended: Error | undefined;

  constructor(name: ContenderName, { device, environment, timeout, script = CHILD }: ProcessOptions) {
    this.name = name;
    this.#timeout = timeout;
    // Another checkout knows itself as ours.
    this.#child = fork(fileURLToPath(script), [name === "before" ? "ours" : name, JSON.stringify(device)], {
      serialization: "advanced",
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      env: { ...process.env, ...environment },
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        this.#printed = (this.#printed + chunk.toString()).slice(-KEPT);
      });
    }
    this.#child.on("message", (reply: Reply) => this.#waiting?.resolve(reply));
    this.#child.on("error", (error) => this.#end(error));
    this.#child.on("exit", (code, signal) => {
      const last = lastLine(this.#printed);
      this.#end(new Error(`its process ended with ${signal ?? `exit code ${code}`}${last ? `: ${last}` : ""}`));
    });
  }

  /** Whether the process is gone. */
  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** Asks and waits. @throws Error with what the contender said, or how its process ended. */
  async ask<D extends Request["do"]>(what: D, rest: Asked<D>): Promise<Answers[D]> {
    if (this.#ended) throw this.#ended;
    const id = ++this.#requests;
    let timer: NodeJS.Timeout | undefined;
    try {
      const reply = await new Promise<Reply>((resolve, reject) => {
        this.#waiting = { id, resolve, reject };
        timer = setTimeout(() => {
          this.#end(new Error(`no answer to "${what}" in ${Math.round(this.#timeout / 1000)} s`));
        }, this.#timeout);
        this.#child.send({ id, do: what, ...rest }, (error) => {
          if (error) reject(error);
        });
      });
      if ("error" in reply) throw new Error(reply.error);
      // The id says which request this answers, and so which answer it is.
      return reply as unknown as Answers[D];
    } finally {
      clearTimeout(timer);
      this.#waiting = undefined;
    }
  }

  /** Ends the process. */
  stop(): void {
    this.#end(new Error("its process was stopped"));
  }

  #end(error: Error): void {
    if (this.#ended) return;
    this.#ended = error;
    this.#waiting?.reject(error);
    // Not SIGTERM: a process that hangs inside a driver does not get to hear of it.
    this.#child.kill("SIGKILL");
  }
}

/** The last thing that was said, which is where programs say why they end; warnings about limits come before it. */
function lastLine(printed: string): string {
  const lines = printed.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("Warning:"));
  return (lines.at(-1) ?? "").trim().slice(0, 300);
}
