/** Files of weights: found, opened, and loaded a tensor at a time. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import {
  type LoadOptions,
  type LoadReport,
  loadFile,
  NotFiniteError,
  openTensorFile,
  type StateDict,
  StateDictError,
  type TensorFile,
} from "@deplsr/nn";
import { FileFormatError, type FileTensor, type Source } from "@deplsr/tensor";
import { oneLine, systemCode, UserError } from "../errors.ts";
import { exists } from "../files.ts";
import { counted } from "../output.ts";
import { latestCheckpoint } from "../run-folder.ts";
import { shippedFile, shippedNames } from "./shipped.ts";

/** The weights of a checkpoint folder. */
export const WEIGHTS = "model.safetensors";
/** Their averages over the training, where it keeps them. */
export const EMA_WEIGHTS = "model_ema.safetensors";
/** What they are. */
export const DESCRIPTION = "model.json";

/** Where a network is: in a checkpoint folder, which describes it, or in a file of its own, which does not. */
export type ModelPlace = { readonly folder: string } | { readonly file: string };

/**
 * What a path given for a network means.
 *
 * @param path a run folder (its newest checkpoint is taken), a checkpoint folder, a file, or, where there is nothing of that name, the name
 *   of a model in the box
 * @throws UserError when there is nothing, or no checkpoint in a folder
 */
export async function findModel(path: string): Promise<ModelPlace> {
  const shipped = shippedFile(path);
  const found = await stat(path).catch((error: unknown) => {
    if (systemCode(error) !== "ENOENT") throw unreadable(path, error);
    if (shipped !== null) return null;
    throw new UserError(
      `checkpoint: ${path} does not exist: check the path, or give the name of a model in the box (${shippedNames()})`,
    );
  });
  if (found === null) return { file: shipped! };
  if (found.isDirectory()) return { folder: await latestCheckpoint(path) };
  const described = basename(path) === WEIGHTS && (await exists(join(dirname(path), DESCRIPTION)));
  return described ? { folder: dirname(path) } : { file: path };
}

/**
 * The file in which a network's weights are.
 *
 * @param key of a checkpoint folder, `params` for the weights themselves; otherwise their averages, where there are some
 */
export async function weightsOf(place: ModelPlace, key?: string): Promise<string> {
  if ("file" in place) return place.file;
  const averages = join(place.folder, EMA_WEIGHTS);
  return key !== "params" && (await exists(averages)) ? averages : join(place.folder, WEIGHTS);
}

/**
 * Opens a PyTorch or safetensors file for as long as `work` runs; its tensors are read when they are asked for.
 *
 * @throws UserError naming the file when it is missing, damaged, or asks for more than tensors, containers and numbers
 */
export async function withTensorFile<T>(path: string, work: (file: TensorFile) => Promise<T>): Promise<T> {
  const handle = await open(path, "r").catch((error: unknown) => {
    throw unreadable(path, error);
  });
  try {
    return await work(await openTensorFile(await handleSource(handle)));
  } catch (error) {
    throw error instanceof FileFormatError || systemCode(error) !== undefined ? unreadable(path, error) : error;
  } finally {
    await handle.close();
  }
}

/** What else is in a file: the dictionaries of tensors outside `key`, as deep as that lies. */
export function otherWeights({ tensors }: TensorFile, key: string): string[] {
  const depth = key.split("/").length;
  const groups = [...tensors.keys()].map((path) => path.split("/").slice(0, -1).slice(0, depth).join("/"));
  return [...new Set(groups)]
    .filter((group) => group !== key)
    .map((group) => (group === "" ? "the top" : printable(group)));
}

/** A name out of a file as a terminal may get it: control characters are spelt out. */
export function printable(name: string): string {
  return name.replace(/\p{Cc}/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/**
 * Loads a file's tensors into a network.
 *
 * @param path the file, for messages
 * @param load the network's `loadStateDict`, or a loader that knows other names too
 * @param options `strict: false` leaves alone what does not fit
 * @throws UserError naming every missing, unexpected, mis-shaped and unreadable tensor at once, or those with values that are no numbers
 */
export async function loadInto(
  path: string,
  tensors: ReadonlyMap<string, FileTensor>,
  load: (entries: StateDict, options: LoadOptions) => LoadReport,
  { strict = true }: { readonly strict?: boolean } = {},
): Promise<LoadReport> {
  try {
    const allow = !strict;
    const lenient = {
      allowMissing: allow,
      allowUnexpected: allow,
      allowMismatched: allow,
      allowUnreadable: allow,
    };
    return await loadFile(tensors, load, lenient);
  } catch (error) {
    if (error instanceof NotFiniteError) throw new UserError(`checkpoint: ${path}: ${error.message}`);
    if (!(error instanceof StateDictError)) throw error;
    throw new UserError(`checkpoint: ${path} does not fit the network: ${oneLine(error)}`);
  }
}

/** What a load that is not strict left out, a line for each kind. */
export function leftOut({ missing, unexpected, mismatched, unreadable }: LoadReport): string[] {
  const kinds: [names: readonly string[], what: string][] = [
    [missing, "missing in the file, left unchanged"],
    [unexpected, "unknown to the network, not loaded"],
    [mismatched, "of another shape, not loaded"],
    [unreadable, "that cannot be read, not loaded"],
  ];
  return kinds.flatMap(([names, what]) =>
    names.length === 0 ? [] : [`${counted(names.length, "tensor")} ${what}: ${names.join(", ")}`],
  );
}

async function handleSource(handle: FileHandle): Promise<Source> {
  const { size } = await handle.stat();
  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const { bytesRead } = await handle.read(bytes, done, Math.min(length - done, 2 ** 30), offset + done);
      if (bytesRead === 0) throw new FileFormatError("the file became shorter while it was read");
      done += bytesRead;
    }
    return bytes;
  };
  return { size, read };
}

/** What a system's or a format's error at reading `path` means, in one line. */
export function unreadable(path: string, error: unknown): UserError {
  if (systemCode(error) === "ENOENT") return new UserError(`checkpoint: ${path} does not exist: check the path`);
  if (systemCode(error) === "EISDIR") return new UserError(`checkpoint: ${path} is a folder, a file was expected`);
  return new UserError(`checkpoint: ${path} cannot be read: ${oneLine(error)}`);
}

/** The hash of a file's bytes, hexadecimal. @throws UserError when it cannot be read */
export async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  try {
    for await (const part of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(part as Buffer);
  } catch (error) {
    throw unreadable(path, error);
  }
  return hash.digest("hex");
}
