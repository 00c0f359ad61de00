/** The group `checkpoints`: files that load, tensor for tensor, and files that are refused. */
import { openTensorFile, type TensorFile } from "@deplsr/nn";
import {
  bytesSource,
  FileFormatError,
  isStoredFloat,
  readSafetensors,
  readTensor,
  type StoredDType,
  type StoredTensor,
} from "@deplsr/tensor";
import { Attributes } from "./attributes.ts";
import type { HostValues } from "./compare.ts";
import { counted } from "./counted.ts";
import type { Case, Driver, Fixture, Outputs } from "./fixture.ts";

/** One case a file: what a checkpoint holds, what it should hold, or why it is refused. */
export const cases: Driver = async (fixture) => {
  const index = await readIndex(fixture);
  if (fixture.path.endsWith(".safetensors")) return [await contentsCase(fixture, index)];
  const entry = index.find((one) => one.file === fileName(fixture));
  if (!entry) throw new Error("index.json does not list it");
  return [
    entry.expected === null ? await refusalCase(fixture, entry) : await loadingCase(fixture, entry, entry.expected),
  ];
};

interface Entry {
  readonly file: string;
  /** The file of the tensors that it loads as; null for one that is refused. */
  readonly expected: string | null;
  readonly disallowedGlobal: string | undefined;
  readonly scalars: Readonly<Record<string, unknown>>;
}

/** The checkpoints of the fixture's folder. */
async function readIndex(fixture: Fixture): Promise<Entry[]> {
  const index = new Attributes(JSON.parse(new TextDecoder().decode(await fixture.sibling("index.json"))), "index.json");
  return index.objects("files").flatMap((row) => {
    const file = row.string("file");
    const expectation = row.string("expectation");
    if (expectation === "expected contents of") return [];
    const [, expected = null] = /^loads as (\S+)$/.exec(expectation) ?? [];
    if (expected === null && expectation !== "must be refused") {
      throw new Error(`${file}: the expectation "${expectation}" is not understood`);
    }
    const disallowedGlobal = row.has("disallowed_global") ? row.string("disallowed_global") : undefined;
    const scalars = (row.raw("scalars") ?? {}) as Record<string, unknown>; // compared one by one
    return [{ file, expected, disallowedGlobal, scalars }];
  });
}

function fileName({ path }: Fixture): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Every tensor of the checkpoint that loads as this file. */
async function contentsCase(fixture: Fixture, index: readonly Entry[]): Promise<Case> {
  const config = new Attributes(fixture.config, "config");
  config.assume("op", "load_checkpoint");
  config.inform("arch"); // of the network, where more is stored than the file's tensors
  const dtypes = new Attributes(config.raw("original_dtypes") ?? {}, "config.original_dtypes");
  config.finish();
  const entry = index.find(({ expected }) => expected === fileName(fixture));
  if (!entry) throw new Error("no checkpoint of index.json loads as this file");
  const file = await openTensorFile(bytesSource(await fixture.sibling(entry.file)));
  const answers: Record<string, Outputs[string]> = {};
  for (const [name, tensor] of file.tensors) {
    const dtype = dtypes.has(name) ? dtypes.string(name) : null;
    if (dtype !== null && tensor.dtype !== STORED[dtype]) {
      throw new Error(`${name} is ${tensor.dtype} instead of ${dtype}`);
    }
    answers[name] = hostValues(await readTensor(tensor));
  }
  dtypes.finish();
  return { name: entry.file, run: () => answers };
}

/** Names, shapes and scalars of a checkpoint; its values are compared where they are stored. */
async function loadingCase(fixture: Fixture, { scalars }: Entry, expectedName: string): Promise<Case> {
  const { tensors } = readSafetensors(await fixture.sibling(expectedName));
  const wanted = [...tensors]
    .filter(([name]) => !name.startsWith("check.")) // those are results
    .map(([name, { shape }]) => `${name} [${shape}]`);
  const file = await openTensorFile(bytesSource(fixture.bytes));
  const run = (): Outputs => {
    const found = [...file.tensors].map(([name, { shape }]) => `${name} [${shape}]`);
    for (const name of found) if (!wanted.includes(name)) throw new Error(`the tensor ${name} should not be there`);
    for (const name of wanted) if (!found.includes(name)) throw new Error(`the tensor ${name} is missing`);
    compareScalars(file, scalars);
    return {};
  };
  return { name: counted(wanted.length, "tensor"), run };
}

function compareScalars({ values }: TensorFile, scalars: Entry["scalars"]): void {
  for (const [name, expected] of Object.entries(scalars)) {
    if (values.get(name) !== expected) {
      throw new Error(`${name} is ${String(values.get(name))} instead of ${String(expected)}`);
    }
  }
}

async function refusalCase(fixture: Fixture, { disallowedGlobal = "" }: Entry): Promise<Case> {
  const refusal = await readAll(fixture.bytes);
  const run = (): Outputs => {
    if (!refusal) throw new Error("it was read, but must be refused");
    if (!refusal.message.includes(disallowedGlobal)) {
      throw new Error(`the refusal does not name ${disallowedGlobal}: ${refusal.message}`);
    }
    return {};
  };
  return { name: refusal?.message ?? "", run };
}

/** Reads every tensor. @returns why that was refused; undefined when it was not */
async function readAll(bytes: Uint8Array): Promise<FileFormatError | undefined> {
  try {
    const { tensors } = await openTensorFile(bytesSource(bytes));
    for (const tensor of tensors.values()) await readTensor(tensor);
    return undefined;
  } catch (error) {
    if (error instanceof FileFormatError) return error;
    throw error;
  }
}

function hostValues(tensor: StoredTensor): HostValues {
  const { dtype, shape } = tensor;
  if (dtype === "I64") return { shape, data: tensor.toBigInt64() };
  return { shape, data: isStoredFloat(dtype) ? tensor.toFloat32() : tensor.toInt32() };
}

/** The fixtures' names of stored dtypes. */
const STORED: Readonly<Record<string, StoredDType>> = {
  float64: "F64",
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
  int64: "I64",
  int32: "I32",
  int16: "I16",
  int8: "I8",
  uint8: "U8",
  bool: "BOOL",
};
