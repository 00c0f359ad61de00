/**
 * The folder of a training run: `config.yml`, `log.txt`, `metrics.jsonl` and `checkpoints/step-N/`. A checkpoint is written under a
 * temporary name, synced and renamed, so that whatever has its name is whole.
 */
import { appendFileSync } from "node:fs";
import { readFile, rename, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { oneLine, UserError } from "./errors.ts";
import { exists, makeFolder, removeLeftovers, sortedNames, writeFileAtomic, writeFolderAtomic } from "./files.ts";
import { RunLock } from "./run-lock.ts";

/** The files of a checkpoint by name: bytes or text. */
export type CheckpointFiles = ReadonlyMap<string, Uint8Array | string>;

const STEP = /^step-(\d+)$/;

/** How a run folder is opened. */
export interface RunOpening {
  /** The text of its `config.yml`: what is run, with every default filled in. */
  readonly config: string;
  /** The time of the run. */
  readonly now: Date;
  /** The checkpoint to go on from; null for a run from the beginning. */
  readonly from?: string | null;
  /** A run that stands there goes on. Without it, and without `overwrite`, one is refused. */
  readonly resume?: boolean;
  /** A run that stands there is kept under `NAME_archived_TIME`, and a new one begins. */
  readonly overwrite?: boolean;
  /** Says what was done with what stood there. */
  readonly say?: (line: string) => void;
}

/** Which checkpoints stay besides the last one. */
export interface Keeping {
  /** So many of the latest; null for all. */
  readonly last: number | null;
  /** Those after every so many steps, for ever; null for none. */
  readonly every: number | null;
  /** Those of other steps than every so many stay only until the next one is there; left out for all. */
  readonly regular?: number;
}

/** An open run folder, which this process alone writes to until `close`. */
export class RunFolder {
  readonly path: string;
  readonly #lock: RunLock;
  readonly #say: (line: string) => void;
  /** Files whose writing has failed, which is said once. */
  readonly #unwritable = new Set<string>();

  private constructor(path: string, lock: RunLock, say: (line: string) => void) {
    this.path = path;
    this.#lock = lock;
    this.#say = say;
  }

  /**
   * Opens a run folder for a training, a new one or one that goes on: then its logs are cut to the step of the checkpoint, and later
   * checkpoints are set aside.
   *
   * @param path where it stands, or shall stand
   * @throws UserError when a training is at work in it, when it holds a run and neither `resume` nor `overwrite` is said, or when it holds
   * something else, which is left alone
   */
  static async open(path: string, options: RunOpening): Promise<RunFolder> {
    const { config, now, from = null, resume = false, overwrite = false, say = () => {} } = options;
    const found = await contentOf(path);
    if (found === "other") {
      throw new UserError(`train: ${path} holds something that is no training run: choose another --out`);
    }
    const goesOn = found === "run" && resume && (from === null || isOf(from, path));
    if (found === "run" && !goesOn && !overwrite) {
      const last = await latestCheckpoint(path).catch(() => undefined);
      const state = last ? `up to ${last.slice(path.length + 1)}` : "without a checkpoint";
      throw new UserError(
        `train: ${path} holds a run (${state}): --resume goes on with it, --overwrite begins anew and keeps it under another name`,
      );
    }
    if (found === "run" && !goesOn) {
      // Held while it is moved: nobody who trains in it loses it.
      const lock = await RunLock.take(path, now);
      const archive = `${path}_archived_${timeStamp(now)}`;
      await rm(join(path, LOCK)).catch(() => undefined);
      await rename(path, archive);
      lock.release();
      say(`the run that stood in ${path} is now in ${archive}`);
    }
    await makeFolder(path);
    const lock = await RunLock.take(path, now);
    try {
      await makeFolder(join(path, "checkpoints"));
      const run = new RunFolder(path, lock, say);
      await removeLeftovers(path);
      await removeLeftovers(join(path, "checkpoints"));
      if (goesOn) await run.#cut(from === null ? 0 : await stepOf(from), now);
      await writeFileAtomic(join(path, "config.yml"), config);
      return run;
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  /** Lets other trainings in. */
  close(): void {
    this.#lock.release();
  }

  /** Takes out of the logs what came after a checkpoint, and sets later checkpoints aside. */
  async #cut(step: number, now: Date): Promise<void> {
    for (const [name, cut] of [
      ["metrics.jsonl", cutMetrics],
      ["log.txt", cutLog],
    ] as const) {
      const file = join(this.path, name);
      if (!(await exists(file))) continue;
      const before = await readFile(file, "utf8");
      const after = cut(before, step);
      if (after !== before) await writeFileAtomic(file, after);
    }
    for (const later of (await checkpointSteps(this.path)).filter((other) => other > step)) {
      const aside = `${this.checkpointPath(later)}_archived_${timeStamp(now)}`;
      await rename(this.checkpointPath(later), aside);
      this.#say(`${this.checkpointPath(later)} comes after the step to go on from: it is now in ${aside}`);
    }
  }

  /** A line of `log.txt`, with the time before it. */
  log(line: string, now: Date): void {
    this.#append("log.txt", `${now.toISOString()} ${line}\n`);
  }

  /** Lines of `metrics.jsonl`: one JSON object each. */
  metrics(records: readonly Readonly<Record<string, number | string>>[]): void {
    this.#append("metrics.jsonl", records.map((record) => `${JSON.stringify(record)}\n`).join(""));
  }

  /** The folder of the checkpoint after `step` steps. */
  checkpointPath(step: number): string {
    return join(this.path, "checkpoints", `step-${step}`);
  }

  /** Writes a checkpoint whole or not at all. @throws UserError when the disk is full */
  async saveCheckpoint(step: number, files: CheckpointFiles): Promise<string> {
    const path = this.checkpointPath(step);
    await this.#write(path, files);
    return path;
  }

  /** The same under another name, `best-psnr`, in place of an earlier one. */
  async saveNamed(name: string, files: CheckpointFiles): Promise<void> {
    await this.#write(join(this.path, "checkpoints", name), files);
  }

  async #write(path: string, files: CheckpointFiles): Promise<void> {
    await writeFolderAtomic(path, async (folder) => {
      for (const [name, content] of files) await writeFileAtomic(join(folder, name), content);
    });
  }

  /** The text of `metrics.jsonl` so far. */
  async readMetrics(): Promise<string> {
    return readFile(join(this.path, "metrics.jsonl"), "utf8").catch(() => "");
  }

  /** Removes the checkpoints that are not to be kept; the latest always is. */
  async prune({ last, every, regular = 1 }: Keeping): Promise<void> {
    const steps = await checkpointSteps(this.path);
    const between = steps.slice(0, -1).filter((step) => step % regular !== 0);
    const others = steps.filter((step) => !between.includes(step));
    const old = last === null ? [] : others.slice(0, Math.max(0, others.length - Math.max(1, last)));
    for (const step of [...between, ...old]) {
      if (every === null || step % every !== 0) await rm(this.checkpointPath(step), { recursive: true, force: true });
    }
  }

  /** A log that cannot be written is no reason to lose a training: that is said once. */
  #append(name: string, text: string): void {
    try {
      appendFileSync(join(this.path, name), text);
    } catch (error) {
      if (this.#unwritable.has(name)) return;
      this.#unwritable.add(name);
      this.#say(`${join(this.path, name)} cannot be written (${oneLine(error)}): the training goes on without it`);
    }
  }
}

const LOCK = "lock.json";

/** What stands at a path: nothing, a run of ours, or something else. */
async function contentOf(path: string): Promise<"nothing" | "run" | "other"> {
  const found = await stat(path).catch(() => undefined);
  if (!found) return "nothing";
  if (!found.isDirectory()) return "other";
  const names = await sortedNames(path);
  if (names.includes("config.yml") && names.includes("checkpoints")) return "run";
  // A run that was killed while its folder was made.
  return names.every((name) => name === "checkpoints" || name.startsWith(LOCK) || name.startsWith(".config.yml."))
    ? "nothing"
    : "other";
}

/** The records of steps up to `step`; a half-written last line goes too. */
export function cutMetrics(text: string, step: number): string {
  const lines = text.split("\n").slice(0, -1);
  return lines
    .filter((line) => {
      try {
        return (JSON.parse(line) as { step: number }).step <= step;
      } catch {
        return false;
      }
    })
    .map((line) => `${line}\n`)
    .join("");
}

/** A log up to the first line that speaks of a later step; a half-written last line goes too. */
export function cutLog(text: string, step: number): string {
  const lines = text.split("\n").slice(0, -1);
  const later = lines.findIndex((line) => {
    const [, number] = /\b(?:iter|step):? *([\d,]+)/.exec(line) ?? [];
    return number !== undefined && Number(number.replaceAll(",", "")) > step;
  });
  return lines
    .slice(0, later < 0 ? lines.length : later)
    .map((line) => `${line}\n`)
    .join("");
}

/** The steps that a run folder has checkpoints of, in order. */
async function checkpointSteps(path: string): Promise<number[]> {
  const names = await sortedNames(join(path, "checkpoints"));
  return names
    .flatMap((name) => STEP.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

/** The step that a checkpoint was written after. @throws UserError where its state does not say it */
async function stepOf(checkpoint: string): Promise<number> {
  const path = join(checkpoint, "state.json");
  let state: { readonly step?: unknown };
  try {
    state = JSON.parse(await readFile(path, "utf8")) as typeof state;
  } catch (error) {
    throw new UserError(`checkpoint: ${path} cannot be read (${oneLine(error)}): a training cannot go on from there`);
  }
  if (Number.isSafeInteger(state.step)) return state.step as number;
  throw new UserError(`checkpoint: ${path} does not say its step: a training cannot go on from there`);
}

/**
 * The newest checkpoint of a run folder.
 *
 * @param path a run folder, or a checkpoint folder, which is returned as it is
 * @throws UserError when there is none
 */
export async function latestCheckpoint(path: string): Promise<string> {
  if (await exists(join(path, "model.safetensors"))) return path;
  let steps: number[];
  try {
    steps = await checkpointSteps(path);
  } catch (error) {
    throw new UserError(`checkpoint: ${path} is neither a run folder nor a checkpoint folder (${oneLine(error)})`);
  }
  const folder = join(path, "checkpoints");
  if (steps.length === 0) throw new UserError(`checkpoint: ${folder} holds no step-N folder: train first`);
  return join(folder, `step-${steps.at(-1)}`);
}

/** Whether a checkpoint folder belongs to a run folder. */
function isOf(checkpoint: string, run: string): boolean {
  return resolve(runFolderOf(checkpoint)) === resolve(run);
}

/** The run folder that a checkpoint folder belongs to. */
export function runFolderOf(checkpoint: string): string {
  return join(checkpoint, "..", "..");
}

/** `20250131_235959`, in UTC. */
export function timeStamp(now: Date): string {
  return now.toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "_");
}
