/** Finding the photographs that a command names. */
import { dirname, extname, isAbsolute, join, normalize, relative, resolve } from "node:path";
import { UserError } from "../errors.ts";
import { isFolder, listImages, stem } from "./folder.ts";
import { LIST_EXTENSIONS, readImageList } from "./image-list.ts";
import type { SkippedItem } from "./skipped.ts";

/** A photograph. */
export interface Source {
  readonly path: string;
  /** What is made of it is called like this, perhaps with folders, with an ending of its own. */
  readonly name: string;
}

/** The photographs, and what cannot be used of the lists. */
export interface SourceList {
  readonly sources: readonly Source[];
  readonly skipped: readonly SkippedItem[];
  /** Captions that the lists give, by the absolute path of the photograph. */
  readonly titles: ReadonlyMap<string, string>;
}

/**
 * Lists the photographs of files, folders (with their sub-folders) and lists. Those of folders and lists are named with the folders that they
 * stand in, below the folder or the list.
 *
 * @param options.written folders that are written: what stands in them is no photograph
 * @param options.root the folder that paths in lists count from. Default: the list's own
 * @throws UserError when something does not exist or names nothing, or a folder of photographs is one that is written
 */
export async function listSources(
  inputs: readonly string[],
  { written, root }: { readonly written: readonly string[]; readonly root?: string | undefined },
): Promise<SourceList> {
  const sources = new Map<string, Source>();
  const skipped: SkippedItem[] = [];
  const titles = new Map<string, string>();
  const add = (path: string, name: string): void => {
    const key = resolve(path);
    if (sources.has(key)) skipped.push({ name: path, reason: `${path} is given more than once: it is taken once` });
    else sources.set(key, { path, name });
  };
  for (const input of inputs) {
    if (LIST_EXTENSIONS.includes(extname(input).toLowerCase())) {
      const { images, bad } = await readImageList(input, root);
      skipped.push(...bad);
      for (const { name, path, title } of images) {
        const inside = !isAbsolute(name) && !normalize(name).startsWith("..");
        add(path, inside ? bare(normalize(name)) : stem(name));
        if (title !== null) titles.set(resolve(path), title);
      }
    } else if (await isFolder(input)) {
      if (written.some((folder) => resolve(folder) === resolve(input))) {
        throw new UserError(`output: ${input} is the folder of the photographs: write to another one`);
      }
      const inside = written.filter((folder) => isBelow(folder, input));
      for (const path of await listImages(input, true)) {
        if (!inside.some((folder) => isBelow(path, folder))) add(path, bare(relative(input, path)));
      }
    } else add(input, stem(input));
  }
  return { sources: [...sources.values()], skipped, titles };
}

/** Refuses photographs that would be written to one file. @param fileOf where a name is written @throws UserError naming the first two */
export function refuseSharedNames(sources: readonly Source[], fileOf: (name: string) => string): void {
  const owners = new Map<string, string>();
  for (const { path, name } of sources) {
    const owner = owners.get(name);
    if (owner !== undefined) {
      throw new UserError(`output: ${owner} and ${path} would both be written to ${fileOf(name)}: rename one`);
    }
    owners.set(name, path);
  }
}

/** Whether a path leads to something in a folder, or in its sub-folders. */
export function isBelow(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== "" && !way.startsWith("..") && !isAbsolute(way);
}

/** A path with its folders, without its ending. */
export function bare(name: string): string {
  return join(dirname(name), stem(name));
}
