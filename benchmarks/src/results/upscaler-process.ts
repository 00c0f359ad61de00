/** A network of UpscalerJS in a process of its own: one that fails, or never ends, is an error here. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Image } from "../../../apps/cli/src/data/image.ts";

/** The networks: the packages `@upscalerjs/NAME`. */
export const UPSCALER_MODELS = ["esrgan-slim", "esrgan-medium"] as const;

/** What the process is sent, and what it answers. */
export type Answer = { readonly image: Image } | { readonly error: string };

/** The longest that an image may take: a tenfold of the slowest. */
const PATIENCE_MS = 10 * 60 * 1000;

export class UpscalerProcess {
  readonly #start: () => ChildProcess;
  #child: ChildProcess | undefined;

  /** @param folder where the peers are installed; the process is started when the first image comes */
  constructor(folder: string, model: (typeof UPSCALER_MODELS)[number], scale: number) {
    const script = fileURLToPath(new URL("./upscaler-child.ts", import.meta.url));
    this.#start = () =>
      fork(script, [folder, model, String(scale)], {
        serialization: "advanced",
        stdio: ["ignore", "ignore", "inherit", "ipc"],
      });
  }

  /** Enlarges an image; one at a time. @throws Error with what the process said, or how it ended */
  async enlarge(image: Image): Promise<Image> {
    this.#child ??= this.#start();
    const child = this.#child;
    let timer: NodeJS.Timeout | undefined;
    let listen: (() => void) | undefined;
    try {
      const answer = await new Promise<Answer>((resolve, reject) => {
        const ended = (code: number | null, signal: string | null): void =>
          reject(new Error(`its process ended with ${signal ?? `exit code ${code}`}`));
        listen = () => child.off("message", resolve).off("error", reject).off("exit", ended);
        child.once("message", resolve).once("error", reject).once("exit", ended);
        timer = setTimeout(() => reject(new Error(`no answer in ${PATIENCE_MS / 60_000} minutes`)), PATIENCE_MS);
        child.send(image, (error) => error && reject(error));
      });
      if ("error" in answer) throw new Error(answer.error);
      return answer.image;
    } catch (error) {
      // Whatever it does now, the next image gets a process that does nothing else.
      this.stop();
      throw error;
    } finally {
      clearTimeout(timer);
      listen?.();
    }
  }

  /** Ends the process. */
  stop(): void {
    this.#child?.kill("SIGKILL");
    this.#child = undefined;
  }
}
