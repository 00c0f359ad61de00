/**
 * The folder of a training run: `config.yml`, `log.txt`, `metrics.jsonl` and `checkpoints/step-N/`. A checkpoint is written under a
 * temporary name, synced and renamed, so that whatever has its name is whole.
 */
import { appendFileSync } from "node:fs";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { oneLine, systemCode, UserError, WriteError } from "./errors.ts";
import { exists, makeFolder, sortedNames, writeFileAtomic, writeFolderAtomic } from "./files.ts";

/** The files of a checkpoint by name: bytes or text. */
export type CheckpointFiles = ReadonlyMap<string, Uint8Array | string>;

const STEP = /^step-(\d+)$/;

/** An open run folder. */
export class RunFolder {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /**
   * Makes a new run folder. One of that name is kept under `NAME_archived_TIME`.
   *
   * @param path where it shall stand
   * @param config the text of its `config.yml`: what was run, with every default filled in
   * @param now the time of the run
   */
  static async create(path: string, config: string, now: Date): Promise<RunFolder> {
    if (await exists(path)) await rename(path, `${path}_archived_${timeStamp(now)}`);
    await makeFolder(join(path, "checkpoints"));
    await writeFileAtomic(join(path, "config.yml"), config);
    return new RunFolder(path);
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
    await writeFolderAtomic(path, async (folder) => {
      for (const [name, content] of files) await writeFileAtomic(join(folder, name), content);
    });
    return path;
  }

  #append(name: string, text: string): void {
    try {
      appendFileSync(join(this.path, name), text);
    } catch (error) {
      if (systemCode(error) === "ENOSPC") {
        throw new WriteError(
          `write: no space left on the disk for ${join(this.path, name)}: free some space and run again`,
        );
      }
      throw error;
    }
  }
}

/**
 * The newest checkpoint of a run folder.
 *
 * @param path a run folder, or a checkpoint folder, which is returned as it is
 * @throws UserError when there is none
 */
export async function latestCheckpoint(path: string): Promise<string> {
  if (await exists(join(path, "model.safetensors"))) return path;
  const folder = join(path, "checkpoints");
  let names: string[];
  try {
    names = await sortedNames(folder);
  } catch (error) {
    throw new UserError(`checkpoint: ${path} is neither a run folder nor a checkpoint folder (${oneLine(error)})`);
  }
  const steps = names.flatMap((name) => STEP.exec(name)?.[1] ?? []).map(Number);
  if (steps.length === 0) throw new UserError(`checkpoint: ${folder} holds no step-N folder: train first`);
  return join(folder, `step-${Math.max(...steps)}`);
}

/** The run folder that a checkpoint folder belongs to. */
export function runFolderOf(checkpoint: string): string {
  return join(checkpoint, "..", "..");
}

/** `20250131_235959`, in UTC. */
export function timeStamp(now: Date): string {
  return now.toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "_");
}
