/** The job that this process belongs to: it alone, or as many processes as mpirun, mpiexec or srun has started. */
import { hostname } from "node:os";
import { setTimeout } from "node:timers/promises";
import { type Environment, launcherOf, openProcessGroup, type ProcessGroup, SingleProcess } from "@deplsr/distributed";
import { exitCode, oneLine, UsageError } from "../errors.ts";
import { removeTemporaries } from "../files.ts";
import { Output, type OutputForm } from "../output.ts";
import { checkSame } from "./same.ts";
import { shareCores } from "./threads.ts";

/**
 * What a command does where several processes were started: they share its work, or the first one does it while the others have nothing to do.
 * Any other command is refused.
 */
export type Processes = "share" | "first" | undefined;

/** What fails in all processes fails in the first one too, which tells it and ends the others: they wait so many milliseconds for that. */
const FIRST_SPEAKS_MS = 2000;

/** What a process does for its job. */
export class Job {
  /** By the launcher's word: MPI is not asked before a command shares its work. */
  readonly rank: number;
  readonly output: Output;
  readonly #environment: Environment;
  /** How many processes there are; null where the launcher leaves that open. */
  readonly #size: number | null;
  #group: ProcessGroup = new SingleProcess(hostname());

  /** @throws DistributedError where the launcher's variables make no sense */
  constructor(form: OutputForm, environment: Environment) {
    const launcher = launcherOf(environment);
    this.rank = launcher?.rank ?? 0;
    this.#size = launcher === null ? 1 : launcher.size;
    this.#environment = environment;
    this.output = new Output(form, process, this.rank === 0 ? null : `rank ${this.rank} (${hostname()})`);
  }

  /**
   * Does a command's work in this process, if it has a part in it.
   *
   * @param name the command's, `train sr`
   * @param words the command line, which has to be the same in all processes
   */
  async run(
    name: string,
    processes: Processes,
    words: readonly string[],
    work: (group: ProcessGroup) => Promise<void>,
  ): Promise<void> {
    if (this.#size === 1) return work(this.#group);
    if (processes === "first") return this.rank === 0 ? work(this.#group) : undefined;
    if (processes !== "share") {
      const count = this.#size === null ? "several processes" : `${this.#size} processes`;
      throw new UsageError(
        `${name} does not share its work, and ${count} were started: start it without mpirun or srun`,
      );
    }
    this.#group = await openProcessGroup(this.#environment);
    const { versions } = await import("../versions.ts");
    await checkSame(this.#group, { version: versions().deplsr, "command line": words.join(" ") });
    await shareCores(this.#group, process.env);
    return work(this.#group);
  }

  /**
   * Leaves the job once all processes are done. The first one ends with the highest exit code of all, the others with 0: a code of theirs would have the launcher
   * end the first one before its time.
   */
  async close(code: number): Promise<number> {
    const [highest = code] = await this.#group.allReduce(Int32Array.of(code), "max");
    await this.#group.close();
    return this.rank === 0 ? highest : 0;
  }

  /** Tells why this process cannot go on, and ends the others too. Returns the exit code. */
  async fail(error: unknown): Promise<number> {
    const code = exitCode(error);
    // A wrong command line is so in all of them: one that ended with a code would end the first before it has told.
    if (this.rank > 0 && error instanceof UsageError && this.#group.size === 1) return 0;
    if (this.rank > 0) await setTimeout(FIRST_SPEAKS_MS);
    this.output.failure(oneLine(error));
    if (this.#group.size === 1) return code;
    removeTemporaries();
    await new Promise<void>((resolve) => process.stdout.write("", () => process.stderr.write("", () => resolve())));
    return this.#group.abort(code);
  }
}
