/** From what stands on a command line to the photos that it means. */
import { realpath } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, dirname, isAbsolute, join, relative } from "node:path";
import { promisify } from "node:util";
import { isPhotoName, PHOTO_EXTENSIONS } from "@deplsr/photo";
import { glob, isDynamicPattern } from "tinyglobby";
import { systemCode, UserError } from "../errors.ts";
import { exists } from "../files.ts";
import { kindOfFile } from "./file-kind.ts";

/** A photo that was found. */
export interface FoundPhoto {
  /** Where it is, for `readPhoto`; `-` for stdin. */
  readonly path: string;
  /** Its path below the folder that was named, for results that keep its sub-folders; its bare name where it was named itself. */
  readonly name: string;
  /** Whether it was found in a folder or by a pattern, not named itself. */
  readonly listed: boolean;
}

/** Something in a folder that is no photo, or none that can be read. */
export interface LeftOut {
  readonly path: string;
  /** What it is: "HEIC", "camera raw (DNG)", "folder"; null where that is not known. */
  readonly kind: string | null;
}

/** What the arguments of a command mean. */
export interface Found {
  readonly photos: readonly FoundPhoto[];
  readonly leftOut: readonly LeftOut[];
}

/** How folders are searched. */
export interface FindOptions {
  /** Also their sub-folders, each real folder once; otherwise those are left out. */
  readonly recursive?: boolean;
}

/**
 * The photos that arguments name, in their order: a file stays whatever its name, a folder becomes its photos, sorted by name, without hidden files; a pattern
 * (`*`, `?`, `[ab]`, `{a,b}`, `**`) that no shell has expanded becomes what it matches; `~/` is the home folder, `-` stdin. What is named twice is there once.
 *
 * @throws UserError when an argument names nothing, or nothing but files that are no photos
 */
export async function findPhotos(inputs: readonly string[], options: FindOptions = {}): Promise<Found> {
  const photos = new Map<string, FoundPhoto>();
  const leftOut: LeftOut[] = [];
  for (const input of inputs) {
    const { photos: named, leftOut: others } = await findInput(input, options);
    if (named.length === 0) throw nothingIn(input, others);
    for (const photo of named) if (!photos.has(photo.path)) photos.set(photo.path, photo);
    leftOut.push(...others);
  }
  return { photos: [...photos.values()], leftOut };
}

/** One line about what was left out: "left out 3 files that are no photos: a.heic (HEIC), notes.txt, b.dng (camera raw)"; null where nothing was. */
export function describeLeftOut(leftOut: readonly LeftOut[]): string | null {
  const parts: string[] = [];
  const folders = leftOut.filter(({ kind }) => kind === "folder");
  const files = leftOut.filter(({ kind }) => kind !== "folder");
  if (files.length > 0) {
    const names = files
      .slice(0, NAMED)
      .map(({ path, kind }) =>
        kind === null ? basename(path) : `${basename(path)} (${kind.replace(/ \((.*)\)$/, ", $1")})`,
      );
    const more = files.length > NAMED ? ` and ${files.length - NAMED} more` : "";
    const what = files.length === 1 ? "1 file that is no photo" : `${files.length} files that are no photos`;
    parts.push(`${what}: ${names.join(", ")}${more}`);
  }
  if (folders.length > 0)
    parts.push(
      `${folders.length === 1 ? "1 sub-folder" : `${folders.length} sub-folders`} (--recursive takes them in)`,
    );
  return parts.length === 0 ? null : `left out ${parts.join("; ")}`;
}

/** So many of what was left out are named. */
const NAMED = 8;

async function findInput(input: string, options: FindOptions): Promise<Found> {
  if (input === "-") return single("-", "stdin");
  const path = input === "~" || /^~[\\/]/.test(input) ? join(homedir(), input.slice(1)) : input;
  if (await exists(path)) {
    if ((await stat(path)).isDirectory()) {
      const { files, folders } = await listFolder(path, options.recursive ?? false);
      return sortOut(files, folders);
    }
    return single(path, basename(path));
  }
  if (!isDynamicPattern(path)) throw new UserError(`input: ${input} does not exist: check the path`);
  const matches = (await glob(path, { expandDirectories: false, absolute: isAbsolute(path) })).sort();
  if (matches.length === 0) throw new UserError(`input: no file matches ${input}: check the pattern`);
  const top = commonFolder(matches);
  return sortOut(
    matches.map((match) => ({ path: match, name: relative(top, match) })),
    [],
  );
}

function single(path: string, name: string): Found {
  return { photos: [{ path, name, listed: false }], leftOut: [] };
}

/** The photos among files, and what the others are. */
async function sortOut(files: readonly ListedFile[], folders: readonly string[]): Promise<Found> {
  const photos = files.filter(({ path }) => isPhotoName(path)).map((file) => ({ ...file, listed: true }));
  const leftOut: LeftOut[] = folders.map((path) => ({ path, kind: "folder" }));
  for (const { path } of files) if (!isPhotoName(path)) leftOut.push({ path, kind: await kindOfFile(path) });
  return { photos, leftOut };
}

/** A file in a folder: where it is, and its path below that folder. */
export interface ListedFile {
  readonly path: string;
  readonly name: string;
}

/**
 * A folder's files, sorted by name, without hidden ones. A link counts as what it leads to, but a folder that is there twice is entered once, and where it really is
 * rather than through a link: links that lead round in a circle end.
 *
 * @param recursive enters its sub-folders, which are listed by themselves otherwise
 * @throws UserError when the folder is missing, no folder, or may not be read
 */
export async function listFolder(
  root: string,
  recursive = false,
): Promise<{ files: readonly ListedFile[]; folders: readonly string[] }> {
  const files: ListedFile[] = [];
  const folders: string[] = [];
  const seen = new Set<string>();
  const links: string[] = [];
  const enter = async (folder: string): Promise<void> => {
    const entries = await readdir(folder, { withFileTypes: true });
    for (const entry of entries) {
      if (entry.name.startsWith(".")) continue;
      const path = join(folder, entry.name);
      if (entry.isSymbolicLink()) links.push(path);
      else if (entry.isFile()) files.push({ path, name: relative(root, path) });
      else if (entry.isDirectory() && !recursive) folders.push(path);
      else if (entry.isDirectory()) await enterOnce(path);
    }
  };
  const enterOnce = async (folder: string): Promise<void> => {
    try {
      const real = await realPath(folder);
      if (seen.has(real)) return;
      seen.add(real);
      await enter(folder);
    } catch (error) {
      throw explainFolder(error, folder);
    }
  };
  await enterOnce(root);
  for (let path = links.shift(); path !== undefined; path = links.shift()) {
    const target = await stat(path).catch(() => null);
    if (target?.isFile()) files.push({ path, name: relative(root, path) });
    else if (target?.isDirectory() && recursive) await enterOnce(path);
    else if (target?.isDirectory()) folders.push(path);
  }
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  return { files, folders: folders.sort() };
}

function explainFolder(error: unknown, folder: string): unknown {
  switch (systemCode(error)) {
    case "ENOENT":
      return new UserError(`folder: ${folder} does not exist: check the path`);
    case "ENOTDIR":
      return new UserError(`folder: ${folder} is a file, a folder was expected`);
    case "EACCES":
      return new UserError(`folder: ${folder} may not be read: check its permissions`);
    default:
      return error;
  }
}

/** The operating system's own: links of folders on Windows too. */
const realPath = promisify(realpath.native);

/** The deepest folder that holds all of these files. */
function commonFolder(paths: readonly string[]): string {
  let folder = dirname(paths[0]!);
  while (folder !== dirname(folder) && !paths.every((path) => inside(folder, path))) folder = dirname(folder);
  return folder;
}

function inside(folder: string, path: string): boolean {
  return folder === "." || !relative(folder, path).startsWith("..");
}

function nothingIn(input: string, leftOut: readonly LeftOut[]): UserError {
  const others = describeLeftOut(leftOut);
  const endings = PHOTO_EXTENSIONS.join(", ");
  return new UserError(
    `folder: ${input} holds no images (${endings})${others === null ? "" : `, ${others}`}: check the path`,
  );
}
