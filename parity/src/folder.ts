/** Reading fixtures out of a folder, wherever it is. */

import type { PixelImage } from "@deplsr/clip";
import { readSafetensors, type StoredTensor } from "@deplsr/tensor";
import { oneLine, UserError } from "./errors.ts";
import type { BrokenFixture, Fixture } from "./fixture.ts";
import { parseRoles, parseTolerance, type Role, roleOf } from "./tolerance.ts";

/** A folder of fixtures: on a disk (`disk.ts`), or behind the server of a page (`page.ts`). */
export interface Folder {
  readonly name: string;
  /** Paths of all files inside it, sorted, with forward slashes. */
  readonly files: readonly string[];
  readonly read: (path: string) => Promise<Uint8Array>;
  /** Decodes a file's bytes to 8 bits, grey or RGB. @param name for messages */
  readonly decode: (bytes: Uint8Array, name: string) => Promise<PixelImage>;
}

/**
 * All fixtures below a folder, by path, one in memory at a time. Files that nothing describes and files that are broken come as
 * `BrokenFixture`. READMEs and the `index.json` files themselves are no fixtures. Throws a `UserError` when there is none.
 */
export async function* loadFixtures(folder: Folder): AsyncGenerator<Fixture | BrokenFixture> {
  const files = folder.files.filter((name) => name !== "README.md" && !name.endsWith("/README.md"));
  if (files.length === 0) throw new UserError(`${folder.name} holds no fixtures`);
  const indexes = new Map<string, IndexEntry>();
  for (const path of files.filter(isIndex)) {
    try {
      for (const entry of await readIndex(folder, path)) indexes.set(entry.path, entry);
    } catch (error) {
      yield { path, group: null, problem: oneLine(error) };
    }
  }
  for (const path of files.filter((file) => !isIndex(file))) {
    const entry = indexes.get(path);
    indexes.delete(path);
    yield await loadFixture(folder, path, entry);
  }
  for (const { path, group } of indexes.values()) {
    yield { path, group, problem: "is listed in index.json, but missing" };
  }
}

interface IndexEntry {
  readonly path: string;
  readonly group: string;
  readonly expectation: string;
}

function isIndex(path: string): boolean {
  return path === "index.json" || path.endsWith("/index.json");
}

/** The path of `name` in the folder of `path`. */
function beside(path: string, name: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1) + name;
}

async function readIndex(folder: Folder, path: string): Promise<IndexEntry[]> {
  const index = parseJson(await folder.read(path), "the index");
  const { group, files } = index;
  if (typeof group !== "string" || !Array.isArray(files)) throw new Error('the index has no "group" and "files"');
  return files.map((entry: { file?: unknown; group?: unknown; expectation?: unknown }) => {
    if (typeof entry?.file !== "string") throw new Error("an entry of the index names no file");
    return {
      path: beside(path, entry.file),
      group: typeof entry.group === "string" ? entry.group : group,
      expectation: typeof entry.expectation === "string" ? entry.expectation : "",
    };
  });
}

async function loadFixture(folder: Folder, path: string, entry?: IndexEntry): Promise<Fixture | BrokenFixture> {
  let group = entry?.group ?? null;
  try {
    const bytes = await folder.read(path);
    const common = {
      path,
      bytes,
      description: "",
      expectation: entry?.expectation ?? "",
      tensors: new Map<string, StoredTensor>(),
      roles: new Map<string, Role>(),
      tolerance: { overrides: [], shared: {} },
      sibling: (name: string) => folder.read(beside(path, name)),
      decode: () => folder.decode(bytes, path),
    };
    if (path.endsWith(".safetensors")) {
      const { tensors, metadata } = readSafetensors(bytes);
      group = metadata.group ?? group;
      if (group === null) throw new Error('the metadata has no "group"');
      const globs = parseRoles(parseJson(metadata.roles ?? "{}", "the metadata's roles"));
      return {
        ...common,
        group,
        description: metadata.description ?? "",
        config: parseJson(metadata.config ?? "{}", "the metadata's config"),
        tensors,
        roles: new Map([...tensors.keys()].map((name) => [name, roleOf(name, globs)])),
        tolerance: parseTolerance(parseJson(metadata.tolerance ?? "{}", "the metadata's tolerance")),
      };
    }
    if (path.endsWith(".json")) {
      const config = parseJson(bytes, "the file");
      group = typeof config.group === "string" ? config.group : group;
      if (group === null) throw new Error('it has no "group"');
      return { ...common, group, config, description: String(config.description ?? "") };
    }
    if (!entry) throw new Error("nothing describes this file: it has no metadata, and no index.json lists it");
    return { ...common, group: entry.group, config: {} };
  } catch (error) {
    return { path, group, problem: oneLine(error) };
  }
}

function parseJson(text: string | Uint8Array, what: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(typeof text === "string" ? text : new TextDecoder().decode(text));
  } catch {
    throw new Error(`${what} is not valid JSON`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`${what} is not an object`);
  return value as Record<string, unknown>;
}
