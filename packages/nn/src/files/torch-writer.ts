import { type FileTensor, readParts, type StoredDType, storedBytes, storedSize } from "@deplsr/tensor";
import { TORCH_STORAGES } from "./torch-names.ts";
import { joined, type Sink, ZipWriter } from "./zip-writer.ts";

/**
 * Writes a state dict as `torch.save` does: an archive that holds an OrderedDict of tensors, read by `torch.load` from PyTorch 1.6 on.
 * Tensors are read and written a few megabytes at a time.
 *
 * @throws Error when PyTorch has no such element type
 */
export async function writeTorchFile(tensors: ReadonlyMap<string, FileTensor>, sink: Sink): Promise<void> {
  await write([...tensors.values()], joined([op(PROTOCOL), ...ordered([...tensors], 0), op(".")]), sink);
}

/** The same for several state dicts in a dict, `params` and `params_ema` as BasicSR has them. */
export async function writeTorchGroups(
  groups: ReadonlyMap<string, ReadonlyMap<string, FileTensor>>,
  sink: Sink,
): Promise<void> {
  const parts = [op(PROTOCOL), op("}(")];
  const all: FileTensor[] = [];
  for (const [name, tensors] of groups) {
    parts.push(text(name), ...ordered([...tensors], all.length));
    all.push(...tensors.values());
  }
  await write(all, joined([...parts, op("u.")]), sink);
}

async function write(tensors: readonly FileTensor[], pickle: Uint8Array, sink: Sink): Promise<void> {
  const archive = new ZipWriter(sink);
  await archive.add("archive/data.pkl", pickle.length, [pickle]);
  let index = 0;
  for (const tensor of tensors) {
    const { name, dtype, shape } = tensor;
    await archive.add(`archive/data/${index++}`, storedSize(name, dtype, shape) * storedBytes(dtype), partsOf(tensor));
  }
  const version = new TextEncoder().encode("3\n");
  await archive.add("archive/version", version.length, [version]);
  await archive.finish();
}

async function* partsOf(tensor: FileTensor): AsyncGenerator<Uint8Array> {
  for await (const [, { bytes }] of readParts(tensor)) yield bytes;
}

/** Protocol 2, without a memo; `pickle.ts` has the names of the instructions. */
const PROTOCOL = "\x80\x02";

/** The instructions that make an OrderedDict, whose first tensor is in storage `first`. */
function ordered(tensors: readonly (readonly [string, FileTensor])[], first: number): Uint8Array[] {
  const parts = [op("ccollections\nOrderedDict\n)R"), op("(")];
  for (const [index, [name, { dtype, shape }]] of tensors.entries()) {
    const size = storedSize(name, dtype, shape);
    const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, length) => product * length, 1));
    parts.push(text(name), op("ctorch._utils\n_rebuild_tensor_v2\n(("));
    parts.push(text("storage"), op(`ctorch\n${storageOf(name, dtype)}\n`), text(String(first + index)), text("cpu"));
    parts.push(whole(size), op("tQ"), whole(0), tuple(shape), tuple(strides));
    parts.push(op("\x89ccollections\nOrderedDict\n)RtR"));
  }
  return [...parts, op("u")];
}

function storageOf(name: string, dtype: StoredDType): string {
  const storage = Object.entries(TORCH_STORAGES).find(([, type]) => type === dtype)?.[0];
  if (storage === undefined)
    throw new Error(`convert: tensor ${JSON.stringify(name)} is ${dtype}, which the storages of torch.save lack`);
  return storage;
}

function op(characters: string): Uint8Array {
  return Uint8Array.from(characters, (character) => character.charCodeAt(0));
}

function text(value: string): Uint8Array {
  const bytes = new TextEncoder().encode(value);
  return joined([op("X"), new Uint8Array(Uint32Array.of(bytes.length).buffer), bytes]);
}

function whole(value: number): Uint8Array {
  if (value < 2 ** 31) return joined([op("J"), new Uint8Array(Int32Array.of(value).buffer)]);
  return joined([op("\x8a\x08"), new Uint8Array(BigInt64Array.of(BigInt(value)).buffer)]);
}

function tuple(values: readonly number[]): Uint8Array {
  return joined([op("("), ...values.map(whole), op("t")]);
}
