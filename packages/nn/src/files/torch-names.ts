import { quoted, type StoredDType } from "@deplsr/tensor";
import {
  damaged,
  Global,
  type PickleKey,
  PickleObject,
  type PickleValue,
  Placeholder,
  UnknownName,
  wholeNumber,
} from "./pickle.ts";
import { ElementType, PLAIN_TENSORS, REBUILT, rebuildFromType } from "./torch-rebuild.ts";
import { isSizes, TorchStorage } from "./torch-tensor.ts";

/** The names that a checkpoint's pickle may ask for: tensors, containers and numbers, and nothing else. */

/** A storage type, which says how wide elements are. */
class StorageType extends Global {
  readonly dtype: StoredDType;

  constructor(name: string, dtype: StoredDType) {
    super(name);
    this.dtype = dtype;
  }
}

/** A module of a TorchScript archive: its attributes by name. */
export class ScriptModule extends PickleObject {
  readonly what = "a module";
  attributes: ReadonlyMap<PickleKey, PickleValue> = new Map();

  override build(state: PickleValue): void {
    if (!(state instanceof Map)) throw damaged("gives a module a state that is no dictionary");
    this.attributes = state;
  }
}

/** NumPy's element type, as in `numpy.dtype("f8")`. */
class NumpyType extends PickleObject {
  readonly what = "numpy.dtype";
  readonly name: string;

  constructor([name]: readonly PickleValue[]) {
    super();
    if (typeof name !== "string") throw damaged("names a NumPy type by something else than text");
    this.name = name;
  }

  override build(state: PickleValue): void {
    if (!Array.isArray(state) || state[1] === ">") throw damaged("holds a NumPy number with its bytes reversed");
  }
}

/** Element types by the name of PyTorch's storages. */
export const TORCH_STORAGES: Readonly<Record<string, StoredDType>> = {
  DoubleStorage: "F64",
  FloatStorage: "F32",
  HalfStorage: "F16",
  BFloat16Storage: "BF16",
  LongStorage: "I64",
  IntStorage: "I32",
  ShortStorage: "I16",
  CharStorage: "I8",
  ByteStorage: "U8",
  BoolStorage: "BOOL",
};

/** Storages whose tensors are listed, and not read. */
const OTHER_STORAGES: Readonly<Record<string, StoredDType>> = {
  ComplexDoubleStorage: "C128",
  ComplexFloatStorage: "C64",
  QInt32Storage: "I32",
  QInt8Storage: "I8",
  QUInt8Storage: "U8",
  QUInt4x2Storage: "U8",
  QUInt2x4Storage: "U8",
};

const ELEMENT_TYPES: Readonly<Record<string, StoredDType>> = {
  float64: "F64",
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
  float8_e4m3fn: "F8_E4M3",
  float8_e5m2: "F8_E5M2",
  float8_e8m0fnu: "F8_E8M0",
  float8_e4m3fnuz: "F8_E4M3FNUZ",
  float8_e5m2fnuz: "F8_E5M2FNUZ",
  // Pairs, which the shape counts.
  float4_e2m1fn_x2: "F4",
  complex128: "C128",
  complex64: "C64",
  complex32: "C32",
  int64: "I64",
  int32: "I32",
  int16: "I16",
  int8: "I8",
  uint64: "U64",
  uint32: "U32",
  uint16: "U16",
  uint8: "U8",
  bool: "BOOL",
};

/** What wraps a value and adds nothing that matters here. */
const first = ([value = null]: readonly PickleValue[]): PickleValue => value;

/** Functions whose first argument is the class of an object, and which do no more than to make it: of the others nobody knows what they do. */
const MAKERS = [
  "copyreg._reconstructor",
  "copyreg.__newobj__",
  "copyreg.__newobj_ex__",
  "copy_reg._reconstructor",
  "copy_reg.__newobj__",
  "numpy.core.multiarray._reconstruct",
  "numpy._core.multiarray._reconstruct",
];

/** Classes of the standard library whose objects are called into being, and hold what they are given. */
const HOLDERS =
  /^(pathlib(\._local)?\.(Pure)?(Posix|Windows)?Path|datetime\.(date|datetime|time|timedelta|timezone)|decimal\.Decimal|fractions\.Fraction|collections\.deque)$/;

function objectOf([type, ...rest]: readonly PickleValue[]): PickleValue {
  if (!(type instanceof Global)) throw damaged("makes an object of what is no class");
  return new Placeholder(type.what, rest, false);
}

const NAMES = new Map<string, PickleValue>(
  [
    ...MAKERS.map((name) => new Global(name, objectOf)),
    new Global("collections.OrderedDict", ([pairs]) => new Map(asPairs(pairs ?? []))),
    // Dictionaries that only differ in what they answer for keys that they lack.
    new Global("collections.Counter", ([items = new Map()]) => items),
    new Global("collections.defaultdict", () => new Map()),
    ...["builtins", "__builtin__"].flatMap((module) => [
      new Global(`${module}.set`, ([items = []]) => items),
      new Global(`${module}.frozenset`, ([items = []]) => items),
      ...["dict", "list", "int", "float"].map((type) => new Global(`${module}.${type}`)),
    ]),
    new Global("torch.Size", first),
    new Global("torch.device", (args) => args.join(":")),
    new Global("torch.serialization._get_layout", first),
    ...Object.entries(REBUILT).map(([name, rebuild]) => new Global(name, rebuild)),
    new Global("torch._tensor._rebuild_from_type_v2", rebuildFromType),
    ...[...PLAIN_TENSORS].map((name) => new Global(name)),
    new Global("numpy.dtype", (args) => new NumpyType(args)),
    new Global("numpy.core.multiarray.scalar", numpyNumber),
    new Global("numpy._core.multiarray.scalar", numpyNumber),
    new Global("_codecs.encode", encodeLatin1),
    ...Object.entries({ ...TORCH_STORAGES, ...OTHER_STORAGES }).flatMap(([name, dtype]) => [
      new StorageType(`torch.${name}`, dtype),
      new StorageType(`torch.cuda.${name}`, dtype),
    ]),
    // Bytes, whose type the tensor tells.
    new StorageType("torch.storage.UntypedStorage", "U8"),
    ...Object.entries(ELEMENT_TYPES).map(([name, dtype]) => new ElementType(`torch.${name}`, dtype)),
  ].map((global) => [global.what, global]),
);

/** What TorchScript has besides: its modules, and functions that say what is in a list. */
const SCRIPT_LISTS = /^torch\.jit\._pickle\.(build_(int|double|bool|tensor)list|restore_type_tag)$/;

/** What a name means; what is not known makes placeholders. */
export function torchName(name: string): PickleValue {
  if (HOLDERS.test(name)) return new Global(name, (args) => new Placeholder(name, args, false));
  return NAMES.get(name) ?? new UnknownName(name);
}

/** The names of a TorchScript archive. */
export function scriptName(name: string): PickleValue {
  if (name.startsWith("__torch__.")) return new Global(name, () => new ScriptModule());
  return SCRIPT_LISTS.test(name) ? new Global(name, first) : torchName(name);
}

/** The storage of a persistent id `("storage", type, key, location, size, view)`. @throws FileFormatError for anything else */
export function torchStorage(id: PickleValue): TorchStorage {
  const [kind, type, key, , size, view = null] = Array.isArray(id) ? id : [];
  if (kind !== "storage") throw damaged("refers to something else than a storage");
  if (!(type instanceof StorageType)) throw damaged("refers to a storage without a type");
  if ((typeof key !== "string" && typeof key !== "number") || !isSizes([size ?? null])) {
    throw damaged("refers to a storage without a name or size");
  }
  const whole = new TorchStorage(String(key), type.dtype, size as number); // isSizes has seen it
  if (view === null) return whole;
  const [, from, length] = Array.isArray(view) ? view : [];
  if (!isSizes([from ?? null, length ?? null])) throw damaged("refers to a part of a storage without its place");
  const [start, count] = [from as number, length as number]; // isSizes has seen them
  if (start + count > whole.size) throw damaged(`refers to element ${start + count} of a storage of ${whole.size}`);
  return new TorchStorage(whole.key, whole.dtype, count, start);
}

function asPairs(value: PickleValue): [string, PickleValue][] {
  if (!Array.isArray(value)) throw damaged("makes a dictionary of what is no list");
  return value.map((pair) => {
    const [key, item = null] = Array.isArray(pair) ? pair : [];
    if (typeof key !== "string") throw damaged("makes a dictionary of what are no pairs");
    return [key, item];
  });
}

function numpyNumber([type, bytes]: readonly PickleValue[]): PickleValue {
  if (!(type instanceof NumpyType && bytes instanceof Uint8Array))
    throw damaged("makes a NumPy number of something else");
  const read = NUMPY_NUMBERS.get(type.name);
  if (!read || bytes.length !== Number(type.name.slice(1))) {
    throw damaged(`holds a NumPy number of type ${quoted(type.name)}`);
  }
  return read(bytes);
}

const viewOf = ({ buffer, byteOffset, length }: Uint8Array): DataView => new DataView(buffer, byteOffset, length);

const NUMPY_NUMBERS = new Map<string, (bytes: Uint8Array) => PickleValue>([
  ["f8", (bytes) => viewOf(bytes).getFloat64(0, true)],
  ["f4", (bytes) => viewOf(bytes).getFloat32(0, true)],
  ["i8", wholeNumber],
  ["i4", wholeNumber],
  ["b1", ([byte]) => byte !== 0],
]);

/** How protocol 2 writes bytes: as text whose characters are the bytes. */
function encodeLatin1([text, encoding]: readonly PickleValue[]): PickleValue {
  if (typeof text !== "string" || encoding !== "latin1")
    throw damaged("makes bytes of something else than latin1 text");
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
