import { FileFormatError, type FileTensor, openSafetensors, quoted, type Source, storedBytes } from "@deplsr/tensor";
import { type PickleKey, type PickleValue, Placeholder, RefusedName, refused, UnknownName } from "./pickle.ts";
import { openTorchLegacy, openTorchZip, type TorchFile } from "./torch-file.ts";
import { ScriptModule } from "./torch-names.ts";
import { TorchTensor, UnreadableTensor } from "./torch-tensor.ts";

/** Numbers and text that a checkpoint holds beside its tensors. */
export type PlainValue = null | boolean | number | bigint | string;

/** A file of tensors, whatever its format; the tensors are still in it. */
export interface TensorFile {
  readonly format: "safetensors" | TorchFile["format"];
  /**
   * Tensors by their path in the file: keys of dictionaries and places in lists joined with "/" (`params_ema/conv_first.weight`),
   * attributes of TorchScript modules with "."; "tensor" where the file is one tensor.
   */
  readonly tensors: ReadonlyMap<string, FileTensor>;
  /** The rest, by path: an epoch, a learning rate. */
  readonly values: ReadonlyMap<string, PlainValue>;
  /** Objects beside them whose class is not known here, by path, with its name: they are left out, and were never made. */
  readonly objects: ReadonlyMap<string, string>;
  /** The free text of a safetensors header. */
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Opens a file of PyTorch (zip or legacy pickle, TorchScript) or safetensors: reads what describes the tensors, executes nothing.
 *
 * @throws FileFormatError in one line: of another kind, cut off, damaged, or with data that an unknown function or class would have to make
 */
export async function openTensorFile(source: Source): Promise<TensorFile> {
  const start = await source.read(0, Math.min(512, source.size));
  const head = new TextDecoder("latin1").decode(start);
  // Before the others: a safetensors file begins with a length, which may be any bytes. Some pad the header in front.
  if (/^[\s\S]{8}[ \t\r\n]*\{/.test(head)) {
    const { tensors, metadata } = await openSafetensors(source);
    return { format: "safetensors", tensors, values: new Map(), objects: new Map(), metadata };
  }
  if (head.startsWith("PK")) return flattened(await openTorchZip(source));
  // As a number: to browsers latin1 is windows-1252, where this byte is another character.
  if (start[0] === 0x80 || TEXT_MAGIC.test(head)) return flattened(await openTorchLegacy(source));
  if (TEXT_PICKLE.test(head)) await refuseTextPickle(source);
  throw new FileFormatError(otherKind(head));
}

/** The magic number of a file that `torch.save` wrote as text: protocol 0. */
const TEXT_MAGIC = /^L119547037146038801333356L?\n/;
/** How pickles without a head, those of protocols 0 and 1, may begin. */
const TEXT_PICKLE = /^[(\]})cilNISUVXLFKMJG]/;

/** Reads a file that may be a pickle from end to end, for what it asks for. @throws FileFormatError where it is one */
async function refuseTextPickle(source: Source): Promise<void> {
  try {
    await openTorchLegacy(source);
  } catch (error) {
    if (error instanceof RefusedName || !(error instanceof FileFormatError)) throw error;
  }
}

function otherKind(head: string): string {
  if (head === "") return "the file is empty";
  if (head.startsWith("version https://git-lfs")) return "this is a Git LFS pointer, not the file: run `git lfs pull`";
  if (/^\s*<(!doctype|html)/i.test(head)) return "this is a web page, not weights: download the file itself";
  if (head.slice(257, 262) === "ustar") {
    return "this is a tar file, PyTorch's format before 0.1.10, which is not read: load and save it with a newer PyTorch";
  }
  return "this is neither a PyTorch file (.pth, .pt, .bin) nor a safetensors file";
}

/** What a hostile file could say at great length: ways to its values, levels of containers, characters of a path, tensors. */
const MAX_VALUES = 200_000;
const MAX_DEPTH = 100;
const MAX_PATH = 1000;
const MAX_TENSORS = 100_000;
/** Bytes of all tensors as a multiple of the bytes stored: expanded views and shared storages repeat them. */
const MAX_REPEATS = 16;
const FREE_BYTES = 16 * 2 ** 20;

function flattened({ format, value, contents }: TorchFile): TensorFile {
  const tensors = new Map<string, FileTensor>();
  const values = new Map<string, PlainValue>();
  const objects = new Map<string, string>();
  const searched = new Set<object>();
  const stored = new Map<string, number>();
  let visited = 0;
  let bytes = 0;

  const visit = (value: PickleValue, path: string, depth: number): void => {
    if (++visited > MAX_VALUES) fail(`more than ${MAX_VALUES} values`);
    if (depth > MAX_DEPTH) fail(`containers are nested more than ${MAX_DEPTH} deep, or hold themselves`);
    if (path.length > MAX_PATH) fail(`a name of more than ${MAX_PATH} characters: ${quoted(path)}`);
    if (value instanceof TorchTensor || value instanceof UnreadableTensor)
      addTensor(depth === 0 ? "tensor" : path, value);
    else if (value instanceof Placeholder || value instanceof UnknownName) {
      const needed = depth === 0 || (value instanceof Placeholder && (value.called || holdsTensor(value, searched)));
      if (needed) throw refused(value.what);
      objects.set(path, value.what);
    } else if (value === null || typeof value !== "object") values.set(path, value);
    const separator = depth === 0 ? "" : value instanceof ScriptModule ? "." : "/";
    for (const [key, item] of childrenOf(value)) visit(item, `${path}${separator}${String(key)}`, depth + 1);
  };

  const addTensor = (name: string, tensor: TorchTensor | UnreadableTensor): void => {
    if (tensors.has(name)) fail(`two tensors are named ${quoted(name)}`);
    if (tensors.size >= MAX_TENSORS) fail(`more than ${MAX_TENSORS} tensors`);
    if (tensor instanceof UnreadableTensor) return void tensors.set(name, tensor.inFile(name));
    const { key, dtype, size, first } = tensor.storage;
    stored.set(key, Math.max(stored.get(key) ?? 0, (first + size) * storedBytes(dtype)));
    bytes += tensor.size * storedBytes(dtype);
    tensors.set(name, tensor.inFile(name, contents));
  };

  visit(value, "", 0);
  const storedTotal = [...stored.values()].reduce((sum, size) => sum + size, 0);
  if (bytes > MAX_REPEATS * storedTotal + FREE_BYTES) {
    fail(`its tensors have ${bytes} bytes, but only ${storedTotal} are stored`);
  }
  return { format, tensors, values, objects, metadata: {} };
}

/** Whether a tensor lies in what an object is made of: only who makes it could tell the tensor's name. @param searched not again */
function holdsTensor(object: Placeholder, searched: Set<object>): boolean {
  const waiting: PickleValue[] = [object];
  for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
    if (value === null || typeof value !== "object" || searched.has(value)) continue;
    searched.add(value);
    if (value instanceof TorchTensor || value instanceof UnreadableTensor) return true;
    for (const [, item] of value instanceof Placeholder ? value.contents.entries() : childrenOf(value)) {
      waiting.push(item);
    }
  }
  return false;
}

function childrenOf(value: PickleValue): Iterable<readonly [PickleKey, PickleValue]> {
  if (value instanceof ScriptModule) return value.attributes;
  return value instanceof Map || Array.isArray(value) ? value.entries() : [];
}

function fail(problem: string): never {
  throw new FileFormatError(`checkpoint: ${problem}: this is no checkpoint of a network`);
}
