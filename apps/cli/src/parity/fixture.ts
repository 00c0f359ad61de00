/**
 * Parity fixtures: the files of a folder laid out like `../shared/golden`, and the interface of the drivers that answer them.
 *
 * A group's driver is the file of its name beside this one (`ops.ts`, `clip.ts`). It exports
 *
 *     export const cases: Driver = (fixture, device) => [{ name: "", run: () => ({ "out.y": model.forward(upload(fixture, device, "in.x")) }) }];
 *
 * - A case is a part of a fixture that gets a line of its own (a model's evaluation and training pass, one operation of many).
 *   Its name is printed after the path; a fixture of one case may call it "".
 * - `run` is synchronous and runs in a scope: everything that it makes on the device is freed when its results have been read. So
 *   nothing is made on the device outside `run`, and models are built inside it. What is asynchronous (decoding a PNG) happens before,
 *   in the driver, which may be async.
 * - `run` returns the computed tensors under the names of the stored ones, as tensors or as host values. Every tensor of role forward
 *   or gradient must be answered by one of the fixture's cases; names that are not stored are ignored, so a driver may return all it
 *   has. What no gradient reaches is answered with zeros (`zerosLike`).
 * - What is not understood (an operation, an option, a file) throws an Error of one line; so does what is compared by other rules than
 *   the tolerances (`compare` of a JSON file, `expectation` of an index), when it fails. `run` returns {} when there is nothing else.
 * - Nothing depends on a fixture's name or size: read `config` with `Attributes`, whose `finish` refuses what was not read.
 */
import { readdir, readFile } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { type Device, type DType, readSafetensors, type StoredTensor, type Tensor } from "@deplsr/tensor";
import { oneLine, systemCode, UserError } from "../errors.ts";
import type { HostValues } from "./compare.ts";
import { parseRoles, parseTolerance, type Role, roleOf, type Tolerance } from "./tolerance.ts";

/** One file to agree with. */
export interface Fixture {
  /** Path inside the folder, with forward slashes. */
  readonly path: string;
  readonly group: string;
  /** What to run: the metadata's `config`, or the whole contents of a JSON fixture; empty for other files. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly description: string;
  /** What an `index.json` says of the file; "" for files with metadata of their own. */
  readonly expectation: string;
  /** The file as it is. */
  readonly bytes: Uint8Array;
  /** The stored tensors; empty unless the file is a safetensors file. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** The role of each stored tensor. */
  readonly roles: ReadonlyMap<string, Role>;
  readonly tolerance: Tolerance;
  /** Reads another file of the same folder. */
  readonly sibling: (name: string) => Promise<Uint8Array>;
}

/** What a case gives: computed values by the name of the stored tensor. */
export type Outputs = Readonly<Record<string, Tensor | HostValues>>;

/** A part of a fixture, with a line of its own in the report. */
export interface Case {
  readonly name: string;
  readonly run: () => Outputs;
}

/** Turns a fixture into cases. */
export type Driver = (fixture: Fixture, device: Device) => readonly Case[] | Promise<readonly Case[]>;

/** A file that could not be read as a fixture. */
export interface BrokenFixture {
  readonly path: string;
  /** The group, where an index or the metadata still told it. */
  readonly group: string | null;
  readonly problem: string;
}

/**
 * All fixtures below a folder, by path, one in memory at a time. Files that nothing describes and files that are broken come as
 * `BrokenFixture`. READMEs and the `index.json` files themselves are no fixtures. Throws a `UserError` when the folder is missing or
 * empty.
 */
export async function* loadFixtures(folder: string): AsyncGenerator<Fixture | BrokenFixture> {
  const names = await listFiles(folder);
  const files = names.filter((name) => name !== "README.md" && !name.endsWith("/README.md"));
  if (files.length === 0) throw new UserError(`${folder} holds no fixtures`);
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

/** The names of the tensors that a fixture expects, in its order: all of role forward or gradient. */
export function expectedNames(fixture: Fixture): string[] {
  return [...fixture.tensors.keys()].filter((name) => fixture.roles.get(name) !== "input");
}

/** A stored tensor. Throws an `Error` when the fixture has none of that name. */
export function stored(fixture: Fixture, name: string): StoredTensor {
  const tensor = fixture.tensors.get(name);
  if (!tensor) throw new Error(`there is no tensor "${name}"`);
  return tensor;
}

/** Puts a stored tensor on the device: floats as f32, integers as i32 (or the dtype asked for). */
export function upload(fixture: Fixture, device: Device, name: string, dtype?: DType): Tensor {
  const tensor = stored(fixture, name);
  const floating = tensor.dtype.startsWith("F") || tensor.dtype === "BF16";
  const data = floating || dtype === "f32" ? tensor.toFloat32() : tensor.toInt32();
  return device.tensor(data, tensor.shape, { dtype: dtype ?? (floating ? "f32" : "i32"), label: name });
}

/** The stored tensors whose names begin with `prefix`, by the rest of their names; e.g. a state dict under `state.`. */
export function withPrefix(fixture: Fixture, prefix: string): Map<string, StoredTensor> {
  const entries = [...fixture.tensors].filter(([name]) => name.startsWith(prefix));
  return new Map(entries.map(([name, tensor]) => [name.slice(prefix.length), tensor]));
}

/** Zeros in the shape of a stored tensor: the gradient of what no gradient reaches. */
export function zerosLike(fixture: Fixture, name: string): HostValues {
  const { shape } = stored(fixture, name);
  return { shape, data: new Float32Array(shape.reduce((product, size) => product * size, 1)) };
}

interface IndexEntry {
  readonly path: string;
  readonly group: string;
  readonly expectation: string;
}

function isIndex(path: string): boolean {
  return path === "index.json" || path.endsWith("/index.json");
}

async function listFiles(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    return files.map((file) => relative(folder, file).split(sep).join("/")).sort();
  } catch (error) {
    if (systemCode(error) === "ENOENT") throw new UserError(`the folder ${folder} does not exist`);
    if (systemCode(error) === "ENOTDIR") throw new UserError(`${folder} is not a folder`);
    throw new UserError(`the folder ${folder} cannot be read: ${oneLine(error)}`);
  }
}

async function readIndex(folder: string, path: string): Promise<IndexEntry[]> {
  const index = parseJson(await readFile(join(folder, path)), "the index");
  const { group, files } = index;
  if (typeof group !== "string" || !Array.isArray(files)) throw new Error('the index has no "group" and "files"');
  return files.map((entry: { file?: unknown; group?: unknown; expectation?: unknown }) => {
    if (typeof entry?.file !== "string") throw new Error("an entry of the index names no file");
    return {
      path: join(dirname(path), entry.file).split(sep).join("/"),
      group: typeof entry.group === "string" ? entry.group : group,
      expectation: typeof entry.expectation === "string" ? entry.expectation : "",
    };
  });
}

async function loadFixture(folder: string, path: string, entry?: IndexEntry): Promise<Fixture | BrokenFixture> {
  let group = entry?.group ?? null;
  try {
    const file = join(folder, path);
    const bytes = await readFile(file);
    const common = {
      path,
      bytes,
      description: "",
      expectation: entry?.expectation ?? "",
      tensors: new Map<string, StoredTensor>(),
      roles: new Map<string, Role>(),
      tolerance: { overrides: [], shared: {} },
      sibling: (name: string) => readFile(join(dirname(file), name)),
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
