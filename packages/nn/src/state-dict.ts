import {
  assign,
  clone,
  type Device,
  type DType,
  FileFormatError,
  type FileTensor,
  fillFromFile,
  isStoredFloat,
  noGrad,
  type StoredDType,
  type StoredTensor,
  scope,
  Tensor,
} from "@deplsr/tensor";
import { notFinite, watchFinite } from "./files/finite.ts";

/** What is written into its target once everything has been checked: a tensor that is still in its file. */
export interface DeferredEntry {
  readonly shape: readonly number[];
  /** Of what is in the file, where nothing changes it. */
  readonly dtype?: StoredDType;
  /** Why its values cannot be read. */
  readonly unreadable?: string;
  /** Writes the values into a tensor of that shape. */
  readonly fill: (target: Tensor) => Promise<void>;
}

/** What `loadStateDict` takes for one name: a tensor of the same device, one read from a file, or, of `loadFile`, one still in it. */
export type StateEntry = Tensor | StoredTensor | DeferredEntry;

/** Named tensors, as a module's `stateDict()` or a file gives them. */
export type StateDict = ReadonlyMap<string, StateEntry>;

type Allow = boolean | ((name: string) => boolean);

/** Which differences between a file and a module are accepted. By default none is. */
export interface LoadOptions {
  /** Names of the module that the entries may lack; these tensors stay as they are. */
  readonly allowMissing?: Allow;
  /** Entries that the module may lack; they are ignored. */
  readonly allowUnexpected?: Allow;
  /** Entries of another shape that may be ignored. */
  readonly allowMismatched?: Allow;
  /** Entries whose values cannot be read, or not as the module's dtype, that may be ignored. */
  readonly allowUnreadable?: Allow;
  /** Entries of `loadFile` whose values may be NaN or infinite. */
  readonly allowNotFinite?: Allow;
  /** From an entry's name to the module's; `null` drops the entry. */
  readonly rename?: (name: string) => string | null;
  /** Takes the work that deferred entries leave; `loadFile` gives it. */
  readonly later?: (work: () => Promise<void>) => void;
}

/** What `loadStateDict` did, in the module's names. */
export interface LoadReport {
  readonly loaded: readonly string[];
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  readonly mismatched: readonly string[];
  readonly unreadable: readonly string[];
}

/**
 * Counters of batch normalisation, which only a training with a cumulative average would read: files of before PyTorch 0.4.1, and of
 * those who cut them off, lack them. They are never missing, as for PyTorch's loader where a file tells no version.
 *
 * @see https://github.com/pytorch/pytorch/blob/v2.9.0/torch/nn/modules/batchnorm.py (`_load_from_state_dict`)
 */
const COUNTER = /(^|\.)num_batches_tracked$/;

/** A state dict does not fit a module; the message names every difference at once. */
export class StateDictError extends Error {
  override readonly name = "StateDictError";
  readonly report: Omit<LoadReport, "loaded">;

  constructor(message: string, report: Omit<LoadReport, "loaded">) {
    super(message);
    this.report = report;
  }
}

/**
 * Copies `entries` into the `targets` of the same names and shapes. Names, shapes, dtypes and devices are checked before any is written;
 * what only the values of a file tell (a whole number beyond 32 bits) is not. Entries may be the targets themselves, under other names:
 * all have the value that they had before.
 *
 * @param where what an error message starts with
 * @throws StateDictError naming every missing, unexpected, mis-shaped and unreadable entry that `options` does not allow.
 */
export function loadTensors(
  where: string,
  targets: ReadonlyMap<string, Tensor>,
  entries: StateDict,
  options: LoadOptions = {},
): LoadReport {
  const sources = renamed(entries, options.rename, where);
  const report = compare(targets, sources);
  const refused = {
    missing: report.missing.filter((name) => !allows(options.allowMissing, name)),
    unexpected: report.unexpected.filter((name) => !allows(options.allowUnexpected, name)),
    mismatched: report.mismatched.filter((name) => !allows(options.allowMismatched, name)),
    unreadable: report.unreadable.filter((name) => !allows(options.allowUnreadable, name)),
  };
  if (Object.values(refused).some((names) => names.length > 0)) {
    throw new StateDictError(`${where}: ${differences(refused, targets, sources)}`, refused);
  }
  const written = new Set(targets.values());
  scope(() => {
    // A source that is written too would have its new value by the time it is read.
    const taken = report.loaded.map((name) => {
      const [target, source] = [targets.get(name)!, sources.get(name)!];
      const own = source instanceof Tensor && source !== target && written.has(source);
      return [target, own ? noGrad(() => clone(source)) : source] as const;
    });
    for (const [target, source] of taken) copyInto(target, source, options);
  });
  return report;
}

/**
 * Loads tensors that are still in their file, one after the other, so that they are never all on the host. What `loadTensors` checks is
 * checked before anything is written. Where the file turns out to be damaged while it is read, the tensors before the damage are loaded,
 * the others keep their values, and none is half of each.
 *
 * @param load a module's `loadStateDict`, or a loader that knows other names too, such as `loadCLIP`
 * @throws StateDictError as `load`
 * @throws FileFormatError when the file is damaged, naming the tensor, and how many are loaded already
 * @throws NotFiniteError when everything is loaded, naming the tensors with values that are NaN or infinite
 */
export async function loadFile(
  tensors: ReadonlyMap<string, FileTensor>,
  load: (entries: StateDict, options: LoadOptions) => LoadReport,
  options: LoadOptions = {},
): Promise<LoadReport> {
  const wrong = new Set<string>();
  const deferred = Array.from(tensors, ([name, tensor]): [string, DeferredEntry] => {
    const read = allows(options.allowNotFinite, name) ? tensor : watchFinite(tensor, () => wrong.add(name));
    return [name, { ...withReason(tensor), dtype: tensor.dtype, fill: (target) => fillFromFile(target, read) }];
  });
  const waiting: (() => Promise<void>)[] = [];
  const report = load(new Map(deferred), { ...options, later: (work) => void waiting.push(work) });
  for (const [done, work] of waiting.entries()) {
    await work().catch((error: unknown) => {
      if (!(error instanceof FileFormatError) || done === 0) throw error;
      const loaded = `${done} of ${waiting.length} tensors are loaded already`;
      throw new FileFormatError(`${error.message}; ${loaded}`, { cause: error });
    });
  }
  if (wrong.size > 0) throw notFinite([...wrong]);
  return report;
}

function withReason({ shape, unreadable }: FileTensor | StoredTensor): Pick<DeferredEntry, "shape" | "unreadable"> {
  return { shape, ...(unreadable === undefined ? {} : { unreadable }) };
}

/**
 * An entry as `change` makes it of its tensor: at once, or when it is read.
 *
 * @param device where a tensor is made of an entry that is not on a device yet
 * @param shape what `change` gives
 */
export function changedEntry(
  entry: StateEntry,
  device: Device,
  shape: readonly number[],
  change: (tensor: Tensor) => Tensor,
): StateEntry {
  if (entry instanceof Tensor) return change(entry);
  if (entry.unreadable !== undefined) return entry;
  if (!("fill" in entry)) return change(device.tensor(entry.toFloat32(), entry.shape));
  const fill = async (target: Tensor): Promise<void> => {
    using original = device.zeros(entry.shape);
    await entry.fill(original);
    scope(() => assign(target, change(original)));
  };
  return { shape, fill };
}

function allows(allow: Allow | undefined, name: string): boolean {
  return typeof allow === "function" ? allow(name) : (allow ?? false);
}

function renamed(entries: StateDict, rename: LoadOptions["rename"], where: string): StateDict {
  if (!rename) return entries;
  const result = new Map<string, StateEntry>();
  for (const [original, entry] of entries) {
    const name = rename(original);
    if (name === null) continue;
    if (result.has(name)) throw new Error(`${where}: two entries become ${name}, the second is ${original}`);
    result.set(name, entry);
  }
  return result;
}

function compare(targets: ReadonlyMap<string, Tensor>, sources: StateDict): LoadReport {
  const loaded: string[] = [];
  const missing: string[] = [];
  const mismatched: string[] = [];
  const unreadable: string[] = [];
  for (const [name, target] of targets) {
    const source = sources.get(name);
    if (!source) {
      if (!COUNTER.test(name)) missing.push(name);
    } else if (unfit(source, target) !== undefined) unreadable.push(name);
    else if (`${source.shape}` === `${target.shape}` && source.shape.length === target.rank) loaded.push(name);
    else mismatched.push(name);
  }
  const unexpected = [...sources.keys()].filter((name) => !targets.has(name));
  return { loaded, missing, mismatched, unexpected, unreadable };
}

/** Why an entry's values, whatever their shape, cannot become the target's. */
function unfit(source: StateEntry, target: Tensor): string | undefined {
  if (source instanceof Tensor) {
    if (source.device !== target.device) return "it is on another device";
    return source.dtype === target.dtype ? undefined : `it is ${source.dtype}, but ${target.dtype} is expected`;
  }
  if (source.unreadable !== undefined) return source.unreadable;
  const { dtype } = source;
  const fits = dtype === undefined || isFloat(target.dtype) || !isStoredFloat(dtype);
  return fits ? undefined : `it is ${dtype}, but whole numbers are expected`;
}

function isFloat(dtype: DType): boolean {
  return dtype === "f32" || dtype === "f16";
}

function differences(
  refused: Omit<LoadReport, "loaded">,
  targets: ReadonlyMap<string, Tensor>,
  sources: StateDict,
): string {
  const shape = (entry: StateEntry | undefined): string => `[${(entry?.shape ?? []).join(", ")}]`;
  const list = (what: string, names: readonly string[], line: (name: string) => string): string[] =>
    names.length === 0 ? [] : [`${names.length} ${what}: ${names.map(line).join(", ")}`];
  return [
    ...list("missing", refused.missing, (name) => `${name} ${shape(targets.get(name))}`),
    ...list("unexpected", refused.unexpected, (name) => `${name} ${shape(sources.get(name))}`),
    ...list(
      "of another shape",
      refused.mismatched,
      (name) => `${name} ${shape(sources.get(name))} (expected ${shape(targets.get(name))})`,
    ),
    ...list(
      "that cannot be read",
      refused.unreadable,
      (name) => `${name} (${unfit(sources.get(name)!, targets.get(name)!)})`,
    ),
  ].join("; ");
}

function copyInto(target: Tensor, source: StateEntry, { later }: LoadOptions): void {
  if (source instanceof Tensor) {
    assign(target, source);
  } else if (!("fill" in source)) {
    scope(() => assign(target, upload(target.device, source, target)));
  } else {
    if (!later) throw new Error("internal: what is still in its file is loaded by loadFile");
    later(() => source.fill(target));
  }
}

function upload(device: Device, source: StoredTensor, like: Tensor): Tensor {
  return device.tensor(isFloat(like.dtype) ? source.toFloat32() : source.toInt32(), source.shape, {
    dtype: like.dtype,
  });
}
