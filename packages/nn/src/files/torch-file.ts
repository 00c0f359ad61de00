import { FileFormatError, quoted, readRange, type Source, storedBytes } from "@deplsr/tensor";
import { damaged, type PickleNames, type PickleValue, Placeholder, refused } from "./pickle.ts";
import { CutOffPickle } from "./pickle-machine.ts";
import { scriptName, torchName, torchStorage } from "./torch-names.ts";
import type { TorchStorage } from "./torch-tensor.ts";
import { MAX_PICKLE_BYTES, unpickle } from "./unpickle.ts";
import { ZipArchive } from "./zip.ts";

/**
 * The files of `torch.save` and `torch.jit.save`: a pickle that describes containers of tensors, and the bytes of their storages.
 *
 * @see https://github.com/pytorch/pytorch/blob/v1.13.1/torch/serialization.py (`_load`, `_legacy_load`)
 */
export interface TorchFile {
  readonly format: "PyTorch zip" | "PyTorch legacy" | "TorchScript";
  /** What was saved. */
  readonly value: PickleValue;
  /** The bytes of a storage. */
  readonly contents: (storage: TorchStorage) => Promise<Source>;
}

/** Opens a zip archive of PyTorch 1.6 or newer, or of TorchScript. @throws FileFormatError */
export async function openTorchZip(source: Source): Promise<TorchFile> {
  const archive = await ZipArchive.open(source);
  const [pickle] = [...archive.entries.values()]
    .filter(({ name }) => /^([^/]+\/)?data\.pkl$/.test(name))
    .sort((a, b) => a.name.length - b.name.length);
  if (!pickle) throw new FileFormatError("zip: there is no data.pkl in the archive: torch.save did not write it");
  const root = pickle.name.slice(0, -"data.pkl".length);
  const byteOrder = archive.entries.get(`${root}byteorder`);
  if (byteOrder && (await text(archive, byteOrder.name)) !== "little") throw bigEndian();
  const script = archive.entries.has(`${root}constants.pkl`);
  const storages: TorchStorage[] = [];
  const { value } = unpickle(await whole(archive, pickle.name), 0, {
    global: script ? scriptName : torchName,
    persistent: (id) => remembered(storages, id),
  });
  const entryOf = ({ key }: TorchStorage) => archive.entries.get(`${root}data/${key}`);
  for (const storage of storages) {
    const entry = entryOf(storage);
    if (!entry) throw damaged(`refers to storage ${quoted(storage.key)}, which is not in the archive`);
    checkSize(storage, entry.size);
  }
  return {
    format: script ? "TorchScript" : "PyTorch zip",
    value,
    contents: (storage) => archive.contents(entryOf(storage)!),
  };
}

const MAGIC = 0x1950a86a20f9469cfc6cn;
const PROTOCOL = 1001;
/** How much of a file is read at first for its pickles; four times as much where they are longer. */
const FIRST_WINDOW = 2 ** 20;

/** Opens a file of PyTorch 0.1.10 to 1.5: five pickles (magic number, protocol, system, object, storage keys), then the storages. */
export async function openTorchLegacy(source: Source): Promise<TorchFile> {
  const { value, keys, storages, end } = await readPickles(source);
  const places = new Map<string, { readonly offset: number; readonly size: number }>();
  const widths = new Map(storages.map(({ key, dtype }) => [key, storedBytes(dtype)]));
  let at = end;
  for (const key of keys) {
    const width = widths.get(key);
    if (width === undefined) throw damaged(`stores ${quoted(key)}, which nothing refers to`);
    const what = `legacy: storage ${quoted(key)}`;
    const count = await readRange(source, at, 8, what);
    const size = Number(new DataView(count.buffer, count.byteOffset, 8).getBigInt64(0, true)) * width;
    if (!(size >= 0 && at + 8 + size <= source.size)) {
      throw new FileFormatError(
        `${what} is said to have ${size} bytes, beyond the end: the file is cut off or damaged`,
      );
    }
    places.set(key, { offset: at + 8, size });
    at += 8 + size;
  }
  for (const storage of storages) {
    const place = places.get(storage.key);
    if (!place) throw damaged(`refers to storage ${quoted(storage.key)}, which is not stored`);
    checkSize(storage, place.size);
  }
  return {
    format: "PyTorch legacy",
    value,
    contents: async ({ key }) => {
      const { offset, size } = places.get(key)!;
      return { size, read: (first, length) => source.read(offset + first, length) };
    },
  };
}

interface LegacyPickles {
  readonly value: PickleValue;
  readonly keys: readonly string[];
  readonly storages: readonly TorchStorage[];
  /** Where the storages begin. */
  readonly end: number;
}

/** The pickles stand at the front, but how long they are shows only when they are read. */
async function readPickles(source: Source): Promise<LegacyPickles> {
  const most = Math.min(source.size, MAX_PICKLE_BYTES);
  for (let window = Math.min(most, FIRST_WINDOW); ; window = Math.min(most, window * 4)) {
    const bytes = await source.read(0, window);
    try {
      return parsePickles(bytes);
    } catch (error) {
      if (!(error instanceof CutOffPickle) || window === most) throw error;
    }
  }
}

function parsePickles(bytes: Uint8Array): LegacyPickles {
  const storages: TorchStorage[] = [];
  const plain: PickleNames = { global: torchName, persistent: () => fail("its header refers to a storage") };
  const magic = unpickle(bytes, 0, plain);
  if (magic.value !== MAGIC) {
    const asked = calledIn(magic.value);
    throw asked === undefined ? legacy("it is a pickle that torch.save did not write") : refused(asked);
  }
  const protocol = unpickle(bytes, magic.end, plain);
  if (protocol.value !== PROTOCOL) fail(`it is of another protocol than ${PROTOCOL}`);
  const system = unpickle(bytes, protocol.end, plain);
  if (system.value instanceof Map && system.value.get("little_endian") === false) throw bigEndian();
  const { value, end } = unpickle(bytes, system.end, { ...plain, persistent: (id) => remembered(storages, id) });
  const keys = unpickle(bytes, end, plain);
  if (!isKeys(keys.value)) return fail("its list of storages is none");
  return { value, keys: keys.value.map(String), storages, end: keys.end };
}

/** The first name that would have to be called to know a value. */
function calledIn(value: PickleValue): string | undefined {
  const waiting: PickleValue[] = [value];
  const seen = new Set<PickleValue>();
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    if (next === null || typeof next !== "object" || seen.has(next)) continue;
    seen.add(next);
    if (next instanceof Placeholder && next.called) return next.what;
    if (next instanceof Placeholder) waiting.push(...next.contents);
    else if (next instanceof Map || Array.isArray(next)) waiting.push(...next.values());
  }
  return undefined;
}

function isKeys(value: PickleValue): value is (string | number)[] {
  return Array.isArray(value) && value.every((key) => typeof key === "string" || typeof key === "number");
}

function remembered(storages: TorchStorage[], id: PickleValue): TorchStorage {
  const storage = torchStorage(id);
  storages.push(storage);
  return storage;
}

function checkSize({ key, dtype, first, size }: TorchStorage, bytes: number): void {
  const needed = (first + size) * storedBytes(dtype);
  if (needed > bytes) {
    throw damaged(`says that storage ${quoted(key)} has ${needed} bytes, where ${bytes} are stored`);
  }
}

async function whole(archive: ZipArchive, name: string): Promise<Uint8Array> {
  const entry = archive.entries.get(name)!;
  if (entry.size > MAX_PICKLE_BYTES) {
    throw new FileFormatError(`zip: entry ${quoted(name)} has ${entry.size} bytes, too many for a checkpoint`);
  }
  const { size, read } = await archive.contents(entry);
  return read(0, size);
}

async function text(archive: ZipArchive, name: string): Promise<string> {
  return new TextDecoder().decode(await whole(archive, name)).trim();
}

function bigEndian(): FileFormatError {
  return new FileFormatError("the file was written on a big-endian machine: load and save it again on another one");
}

function fail(problem: string): never {
  throw legacy(problem);
}

function legacy(problem: string): FileFormatError {
  return new FileFormatError(`legacy: ${problem}`);
}
