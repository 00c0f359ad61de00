import { FileFormatError, type FileTensor, quoted } from "@deplsr/tensor";
import type { TensorFile } from "./tensor-file.ts";

/** The weights of one network in a file. */
export interface Weights {
  /** Where in the file they are: `params_ema`, `checkpoint/generator`; "" for its top. */
  readonly key: string;
  /** What all their names began with, `net_g.`, and do not any more; "" for nothing. */
  readonly prefix: string;
  /** Tensors by their name in the network, without what trainings wrap it in. */
  readonly tensors: Tensors;
}

type Tensors = ReadonlyMap<string, FileTensor>;

/** Where training frameworks put a network's state dict, the average of the training first, as BasicSR's inference does. */
const KEYS = ["params_ema", "params", "state_dict", "model_state_dict", "model"];

/** What parallel training, compilation and recomputation put in front of names; some of them wherever they wrap something. */
const WRAPPERS = /^((module|_orig_mod)\.)+|(?<=^|\.)(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\./g;

/**
 * The state dict in a checkpoint that may hold several, or other tensors too (an optimizer's).
 *
 * @param key which one, `params`, or the way to it through dictionaries, `checkpoint/generator`; by default the first of `params_ema`,
 * `params`, `state_dict`, or else the whole file, and so on inside of it
 * @throws FileFormatError when there is none, or none under `key`, naming those that there are
 */
export function selectWeights({ tensors }: TensorFile, key?: string): Weights {
  const inside = key === undefined ? tensors : within(tensors, key);
  const found = inside.size === 0 ? undefined : descended(inside, key ?? "");
  if (!found) throw none(tensors, key);
  return { key: found.key, ...withoutPrefix(found.tensors) };
}

/** What a dictionary holds, by the rest of the path; "" is the top, without its dictionaries. */
function within(tensors: Tensors, key: string): Tensors {
  const start = `${key}/`;
  const entries = [...tensors].flatMap(([path, tensor]): [string, FileTensor][] => {
    if (key === "") return path.includes("/") ? [] : [[path, tensor]];
    return path.startsWith(start) ? [[path.slice(start.length), tensor]] : [];
  });
  return new Map(entries);
}

/**
 * Goes down to the state dict: by a known name, or where there is only one way. In a dictionary tensors of its own come first; beside
 * those of the top there may be a network.
 */
function descended(tensors: Tensors, key: string): Pick<Weights, "key" | "tensors"> | undefined {
  const groups = groupsOf(tensors);
  const top = key === "";
  if (!top && groups.has("")) return { key, tensors };
  const [only] = groups.size === 1 ? groups : [];
  const name = KEYS.find((known) => groups.has(known)) ?? (groups.has("") ? "" : only);
  if (name === "") return { key, tensors: within(tensors, "") };
  if (name === undefined) return top ? undefined : { key, tensors };
  return descended(within(tensors, name), top ? name : `${key}/${name}`);
}

/** First parts of paths; "" stands for tensors in no dictionary. */
function groupsOf(tensors: Tensors): Set<string> {
  return new Set([...tensors.keys()].map((path) => path.slice(0, Math.max(0, path.indexOf("/")))));
}

/** The error that says which dictionaries there are, as far down as `key` leads. */
function none(tensors: Tensors, key: string | undefined): FileFormatError {
  let parent = key ?? "";
  do parent = parent.slice(0, Math.max(0, parent.lastIndexOf("/")));
  while (parent !== "" && within(tensors, parent).size === 0);
  const groups = groupsOf(parent === "" ? tensors : within(tensors, parent));
  const names = [...groups].map((name) =>
    parent !== "" ? quoted(`${parent}/${name}`) : name === "" ? "the top" : quoted(name),
  );
  const where = key === undefined ? "under a known name" : `under ${quoted(key)}`;
  return new FileFormatError(`weights: there are none ${where}; tensors are under ${names.join(", ") || "none"}`);
}

function withoutPrefix(tensors: Tensors): Pick<Weights, "prefix" | "tensors"> {
  const unwrapped = [...tensors].map(([name, tensor]) => [name.replace(WRAPPERS, ""), tensor] as const);
  const prefix = sharedPrefix(unwrapped.map(([name]) => name));
  const result = new Map<string, FileTensor>();
  for (const [long, tensor] of unwrapped) {
    const name = long.slice(prefix.length);
    if (result.has(name)) throw new FileFormatError(`weights: two tensors are named ${quoted(name)}`);
    result.set(name, { ...tensor, name });
  }
  return { prefix, tensors: result };
}

/**
 * What all names begin with, in whole parts: the name by which a training knows the network. The only part of a network, whose layers
 * are numbered or are tensors themselves, keeps its name.
 */
function sharedPrefix(names: readonly string[]): string {
  const [first = ""] = names;
  let prefix = "";
  for (let end = first.indexOf(".") + 1; end > 0; end = first.indexOf(".", end) + 1) {
    const longer = first.slice(0, end);
    if (!names.every((name) => name.startsWith(longer))) break;
    prefix = longer;
  }
  const rest = names.map((name) => name.slice(prefix.length));
  const network = rest.some((name) => name.includes(".")) && !rest.some((name) => /^\d+(\.|$)/.test(name));
  return network && new Set(rest.map((name) => name.split(".", 1)[0])).size > 1 ? prefix : "";
}
