/**
 * Writing files so that a reader never sees half of one: everything goes to a temporary name in the same folder, is synced to the disk
 * and renamed over the real name. A temporary name that is left (disk full, Ctrl-C) is removed.
 */
import { rmSync } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { oneLine, systemCode, UserError, WriteError } from "./errors.ts";
import { tellLauncher } from "./launcher.ts";
import { counted } from "./output.ts";

/**
 * Makes a folder and the folders above it that are missing. Step by step: where a file system answers that a folder is missing although the one
 * above it is there (`/proc`, a mount point that finds nothing), Node's own way of making them all never ends.
 */
export async function makeFolder(path: string): Promise<void> {
  const problem = await makeOneFolder(path);
  if (problem === undefined) return;
  const above = dirname(path);
  if (systemCode(problem) !== "ENOENT" || above === path) throw problem;
  await makeFolder(above);
  const still = await makeOneFolder(path);
  if (still !== undefined) throw still;
}

/** Makes a folder where there is none; returns what went wrong. */
async function makeOneFolder(path: string): Promise<unknown> {
  try {
    await mkdir(path);
  } catch (error) {
    const there = await stat(path).catch(() => undefined);
    if (!there?.isDirectory()) return error;
  }
  return undefined;
}

/** Writes a file piece by piece. */
export type WriteParts = (write: (part: Uint8Array) => Promise<void>) => Promise<void>;

/** Opens the temporary file for writing; replaced in tests by one whose disk is full. */
export type OpenFile = (path: string) => Promise<Pick<FileHandle, "writeFile" | "sync" | "close">>;

const openNew: OpenFile = (path) => open(path, "wx");

/** Temporary files and folders that exist right now, removed when the process leaves in the middle. */
const temporaries = new Set<string>();
let counter = 0;

/** Files and folders that are just being made: removing one before it is there would leave it behind. */
const beingMade = new Set<Promise<unknown>>();
let leaving = false;

process.on("exit", removeTemporaries);

/** Removes what is unfinished, before the process ends in the middle of it. */
export function removeTemporaries(): void {
  for (const path of temporaries) rmSync(path, { recursive: true, force: true });
}

/**
 * Ends the process in the middle of whatever it does; temporary files go first. It dies of the signal, which a shell reports as 128 + its
 * number: a graphics driver whose threads are at work does not survive an orderly exit.
 */
export async function leaveAtOnce(signal: NodeJS.Signals): Promise<never> {
  leaving = true;
  await Promise.allSettled(beingMade);
  removeTemporaries();
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
  return new Promise(() => {});
}

/** Makes a temporary file or folder, unless the process is leaving: then nothing goes on. */
async function making<T>(temporary: string, make: () => Promise<T>): Promise<T> {
  if (leaving) await new Promise(() => {});
  temporaries.add(temporary);
  tellLauncher({ temporary: resolve(temporary) });
  const made = make();
  beingMade.add(made);
  try {
    return await made;
  } finally {
    beingMade.delete(made);
  }
}

/** A file that is being written under a temporary name. */
export interface AtomicFile<File> {
  /** The temporary file; a file handle writes on from where it is. */
  readonly file: File;
  /** Syncs the file and gives it its name. */
  commit(): Promise<void>;
  /** Removes the file; does nothing after `commit`. */
  discard(): Promise<void>;
}

/**
 * Opens a file that stands under its name once it is whole; missing folders are made. Errors are as the system gives them: see `explain`.
 *
 * @param path where the file shall stand; an existing file is replaced
 */
export async function openAtomic<File extends Pick<FileHandle, "sync" | "close">>(
  path: string,
  openFile: (path: string) => Promise<File>,
): Promise<AtomicFile<File>> {
  const temporary = temporaryName(path);
  await makeFolder(dirname(path));
  const file = await making(temporary, () => openFile(temporary)).catch(async (error: unknown) => {
    await discard(temporary);
    throw error;
  });
  let closing: Promise<void> | null = null;
  const close = (): Promise<void> => {
    closing ??= file.close();
    return closing;
  };
  return {
    file,
    async commit() {
      await file.sync();
      await close();
      await rename(temporary, path);
      settled(temporary);
    },
    async discard() {
      if (!temporaries.has(temporary)) return;
      await close().catch(() => undefined);
      await discard(temporary);
    },
  };
}

/**
 * Writes a file whole or not at all; missing folders are made.
 *
 * @param path where the file shall stand; an existing file is replaced
 * @param content bytes, text written as UTF-8, or what writes the file piece by piece
 * @throws WriteError when the disk is full, the folder cannot be written, or the path is a folder
 */
export async function writeFileAtomic(
  path: string,
  content: Uint8Array | string | WriteParts,
  openFile: OpenFile = openNew,
): Promise<void> {
  let atomic: AtomicFile<Awaited<ReturnType<OpenFile>>> | null = null;
  try {
    atomic = await openAtomic(path, openFile);
    const { file } = atomic;
    if (typeof content === "function") await content((part) => file.writeFile(part));
    else await file.writeFile(content);
    await atomic.commit();
  } catch (error) {
    await atomic?.discard();
    throw explain(error, path, typeof content === "function" ? undefined : Buffer.byteLength(content));
  }
}

/**
 * Checks that a file can be written, before the work whose result it shall hold; missing folders are made.
 *
 * @throws WriteError as `writeFileAtomic`
 */
export async function checkPlace(path: string): Promise<void> {
  const temporary = temporaryName(path);
  try {
    const there = await stat(path).catch(() => undefined);
    if (there?.isDirectory()) throw isFolder(path);
    await makeFolder(dirname(path));
    await (await making(temporary, () => openNew(temporary))).close();
  } catch (error) {
    throw explain(error, path, undefined);
  } finally {
    await discard(temporary);
  }
}

/**
 * Makes a folder whole or not at all: `fill` writes into a temporary folder beside it, which is then renamed.
 *
 * @param path the folder's final name; an existing one is replaced
 * @param fill writes the contents into the folder it is given
 * @throws WriteError as `writeFileAtomic`; the old folder stays in that case
 */
export async function writeFolderAtomic(path: string, fill: (folder: string) => Promise<void>): Promise<void> {
  const temporary = temporaryName(path);
  const replaced = temporaryName(path);
  try {
    await making(temporary, () => makeFolder(temporary));
    await fill(temporary);
    await syncFolder(temporary);
    const old = await exists(path);
    if (old) await rename(path, replaced);
    await rename(temporary, path);
    settled(temporary);
    await syncFolder(dirname(path));
    if (old) await rm(replaced, { recursive: true, force: true });
  } catch (error) {
    await discard(temporary);
    throw explain(error, path, undefined);
  }
}

/** Whether something stands at this path. */
export async function exists(path: string): Promise<boolean> {
  try {
    await (await open(path, "r")).close();
    return true;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return false;
    throw explain(error, path, undefined);
  }
}

/**
 * The names in a folder, sorted by code point, so that every machine sees one order.
 *
 * @param recursive also those in its folders, `folder/name`
 * @throws UserError when it is missing or no folder
 */
export async function sortedNames(folder: string, recursive = false): Promise<string[]> {
  try {
    return (await readdir(folder, { recursive })).sort();
  } catch (error) {
    if (systemCode(error) === "ENOENT") throw new UserError(`folder: ${folder} does not exist: check the path`);
    if (systemCode(error) === "ENOTDIR") throw new UserError(`folder: ${folder} is a file, a folder was expected`);
    throw explain(error, folder, undefined);
  }
}

/** Removes what killed processes left of unfinished files in a folder, which need not be there; files of processes that live stay. */
export async function removeLeftovers(folder: string): Promise<void> {
  for (const name of (await exists(folder)) ? await sortedNames(folder) : []) {
    const owner = TEMPORARY.exec(name)?.[1];
    if (owner === undefined || (Number(owner) !== process.pid && lives(Number(owner)))) continue;
    await rm(join(folder, name), { recursive: true, force: true });
  }
}

const TEMPORARY = /^\..+\.(\d+)-\d+\.tmp$/;

function temporaryName(path: string): string {
  counter += 1;
  return join(dirname(path), `.${basename(path)}.${process.pid}-${counter}.tmp`);
}

/** Whether a process of this number is there, whoever it belongs to. */
export function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // Somebody else's process may not be signalled, but it is there.
    return systemCode(error) === "EPERM";
  }
}

async function discard(temporary: string): Promise<void> {
  // Where the folder itself is in the way there is nothing to remove; the first failure is the one to tell.
  await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
  settled(temporary);
}

/** A temporary name is in use no more. */
function settled(temporary: string): void {
  temporaries.delete(temporary);
  tellLauncher({ settled: resolve(temporary) });
}

/** Makes the folder's entries durable; file systems that cannot sync a folder are left alone. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } catch (error) {
    const code = systemCode(error);
    if (code !== "EINVAL" && code !== "EPERM" && code !== "EISDIR") throw error;
  } finally {
    await handle.close();
  }
}

/** What a system error at writing `path` means for the user, as one line; other errors as they are. @param bytes how many there were to write */
export function explain(error: unknown, path: string, bytes?: number): Error {
  if (error instanceof UserError) return error;
  const size = bytes === undefined ? "" : ` (${counted(bytes, "byte")})`;
  switch (systemCode(error)) {
    case "ENOSPC":
    case "EDQUOT":
      return new WriteError(
        `write: no space left on the disk for ${path}${size}: free some space or choose another folder`,
      );
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return new WriteError(`write: ${path} may not be written: check the folder's permissions or choose another one`);
    case "EISDIR":
    case "ENOTEMPTY":
      return isFolder(path);
    case "ENOTDIR":
    case "EEXIST":
      return new WriteError(`write: a part of ${path} is a file, not a folder: choose another path`);
    case undefined:
      return error instanceof Error ? error : new Error(String(error));
    default:
      return new WriteError(`write: ${path} cannot be written (${oneLine(error)}): choose another path`);
  }
}

function isFolder(path: string): WriteError {
  return new WriteError(`write: ${path} is a folder: give a file name`);
}
