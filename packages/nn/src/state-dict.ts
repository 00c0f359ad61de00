import { assign, type Device, type FileTensor, fillFromFile, type StoredTensor, scope, Tensor } from "@deplsr/tensor";

/** What is written into its target once everything has been checked: a tensor that is still in its file. */
export interface DeferredEntry {
  readonly shape: readonly number[];
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
}

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
 * Copies `entries` into the `targets` of the same names and shapes; all are checked before any is written.
 *
 * @param where what an error message starts with
 * @throws StateDictError naming every missing, unexpected and mis-shaped entry that `options` does not allow.
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
  };
  if (refused.missing.length + refused.unexpected.length + refused.mismatched.length > 0) {
    throw new StateDictError(`${where}: ${differences(refused, targets, sources)}`, refused);
  }
  for (const name of report.loaded) copyInto(targets.get(name)!, sources.get(name)!, options);
  return report;
}

/**
 * Loads tensors that are still in their file, one after the other, so that they are never all on the host. Everything is checked before
 * anything is written.
 *
 * @param load a module's `loadStateDict`, or a loader that knows other names too, such as `loadCLIP`
 * @throws StateDictError as `load`
 * @throws FileFormatError when the file is damaged
 */
export async function loadFile(
  tensors: ReadonlyMap<string, FileTensor>,
  load: (entries: StateDict, options: LoadOptions) => LoadReport,
  options: LoadOptions = {},
): Promise<LoadReport> {
  const deferred = Array.from(tensors, ([name, tensor]): [string, DeferredEntry] => [
    name,
    { shape: tensor.shape, fill: (target) => fillFromFile(target, tensor) },
  ]);
  const waiting: (() => Promise<void>)[] = [];
  const report = load(new Map(deferred), { ...options, later: (work) => void waiting.push(work) });
  for (const work of waiting) await work();
  return report;
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
  for (const [name, target] of targets) {
    const source = sources.get(name);
    if (!source) missing.push(name);
    else if (`${source.shape}` === `${target.shape}` && source.shape.length === target.rank) loaded.push(name);
    else mismatched.push(name);
  }
  return { loaded, missing, mismatched, unexpected: [...sources.keys()].filter((name) => !targets.has(name)) };
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
  const float = like.dtype === "f32" || like.dtype === "f16";
  return device.tensor(float ? source.toFloat32() : source.toInt32(), source.shape, { dtype: like.dtype });
}
