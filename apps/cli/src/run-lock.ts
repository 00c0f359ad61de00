/**
 * One training at a time in a run folder: `lock.json` names the process that is at work in it, its host and since when. A lock whose process is
 * gone is taken over; one of another host is believed.
 */
import { readFileSync, unlinkSync } from "node:fs";
import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { systemCode, UserError } from "./errors.ts";

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** When the lock was taken, ISO 8601. */
  readonly since: string;
  /** When the process began, as the system counts; null where it does not tell. Another process may have got the number since. */
  readonly began: string | null;
}

const NAME = "lock.json";
/** A process that was killed needs a moment until it is gone. */
const PATIENCE_MS = 2000;
let counter = 0;

/** A lock that this process holds. */
export class RunLock {
  readonly #path: string;
  readonly #text: string;
  readonly #atExit = (): void => this.release();

  private constructor(path: string, text: string) {
    this.#path = path;
    this.#text = text;
    process.on("exit", this.#atExit);
  }

  /** Takes the lock of a folder that is there. @throws UserError naming the process that has it */
  static async take(folder: string, now: Date): Promise<RunLock> {
    const path = join(folder, NAME);
    const own: Holder = { pid: process.pid, host: hostname(), since: now.toISOString(), began: beganAt(process.pid) };
    const text = `${JSON.stringify(own)}\n`;
    const began = performance.now();
    for (;;) {
      if (await created(path, text)) return new RunLock(path, text);
      const found = await readFile(path, "utf8").catch(() => "");
      const holder = parsed(found);
      if (holder && isAlive(holder)) {
        if (holder.host !== own.host || performance.now() - began > PATIENCE_MS) throw taken(folder, holder);
        await new Promise((resolve) => setTimeout(resolve, 100));
        continue;
      }
      // Out of the way under a name of its own: whoever else does the same finds that it is gone.
      const aside = `${path}.${process.pid}-${counter++}.stale`;
      try {
        await rename(path, aside);
      } catch (error) {
        if (systemCode(error) === "ENOENT") continue;
        throw error;
      }
      const moved = await readFile(aside, "utf8");
      if (moved === found) await rm(aside, { force: true });
      else {
        // Somebody was faster, and this is that one's.
        await rename(aside, path);
        const faster = parsed(moved);
        if (faster) throw taken(folder, faster);
      }
    }
  }

  /** Gives it back, if it is still there. */
  release(): void {
    process.off("exit", this.#atExit);
    try {
      if (readFileSync(this.#path, "utf8") === this.#text) unlinkSync(this.#path);
    } catch {
      // The folder was moved or removed, and the lock with it.
    }
  }
}

/** Makes the file with its text at once, so that nobody reads half of it; false where there is one. */
async function created(path: string, text: string): Promise<boolean> {
  const draft = `${path}.${process.pid}-${counter++}.new`;
  try {
    await writeFile(draft, text);
    await link(draft, path);
    return true;
  } catch (error) {
    if (systemCode(error) === "EEXIST") return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

function taken(folder: string, { pid, host, since }: Holder): UserError {
  return new UserError(
    `train: process ${pid} on ${host} has been training in ${folder} since ${since}: wait for it, or choose another --out ` +
      `(where that process is gone for sure, remove ${join(folder, NAME)})`,
  );
}

function parsed(text: string): Holder | undefined {
  try {
    const { pid, host, since, began } = JSON.parse(text) as Partial<Holder>;
    if (typeof pid !== "number" || typeof host !== "string" || typeof since !== "string") return undefined;
    return { pid, host, since, began: began ?? null };
  } catch {
    return undefined;
  }
}

function isAlive({ pid, host, began }: Holder): boolean {
  if (host !== hostname()) return true;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (systemCode(error) === "ESRCH") return false;
  }
  const now = beganAt(pid);
  return now !== "ended" && (began === null || now === null || began === now);
}

/**
 * The 22nd field of Linux's /proc/PID/stat: clock ticks from the start of the system to that of the process. "ended" for one that has ended and is
 * still listed.
 */
function beganAt(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is a name in parentheses, with anything in it.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? "ended" : (fields[19] ?? null);
  } catch {
    return null;
  }
}
