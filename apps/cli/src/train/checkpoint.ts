/**
 * What a checkpoint folder holds: `model.safetensors` (the reference's names), `model.json` (what it is and its sizes),
 * `optimizer.safetensors` (both moments) and `state.json` (step, seed, learning rates, update counts), which together are all that resuming needs.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type Adam,
  encodeTensors,
  type LoadOptions,
  type LoadReport,
  type StateDict,
  selectWeights,
  storedValues,
  type TensorFile,
} from "@deplsr/nn";
import { type StoredEntry, type Tensor, writeSafetensors } from "@deplsr/tensor";
import { oneLine, systemCode, UserError } from "../errors.ts";
import { DESCRIPTION, loadInto, WEIGHTS, withTensorFile } from "../networks/weights-file.ts";
import type { CheckpointFiles } from "../run-folder.ts";

/** Which kind of network a checkpoint holds. */
export type ModelKind = "srclip" | "sr";

/** `model.json`: enough to build the network again. */
export interface ModelDescription {
  readonly kind: ModelKind;
  readonly config: Readonly<Record<string, unknown>>;
}

/** What is saved of a training. */
export interface TrainingState {
  readonly description: ModelDescription;
  /** The network's state dict. */
  readonly model: ReadonlyMap<string, Tensor>;
  readonly optimizer: Adam;
  readonly step: number;
  readonly seed: number;
}

const FORMAT = 1;
/** Where the header of the weights repeats `model.json`, for when they are taken out of their folder. */
const METADATA = "model";

/**
 * The files of a checkpoint.
 *
 * @throws UserError when a parameter is NaN or infinite: such a state is not worth keeping
 */
export async function checkpointFiles(state: TrainingState): Promise<CheckpointFiles> {
  const model = await readAll(state.model, state.step);
  const { tensors, scalars } = state.optimizer.stateDict();
  const resume = { format: FORMAT, step: state.step, seed: state.seed, optimizer: scalars };
  return new Map<string, Uint8Array | string>([
    [WEIGHTS, writeSafetensors(model, { step: String(state.step), [METADATA]: JSON.stringify(state.description) })],
    [DESCRIPTION, `${JSON.stringify(state.description, null, 2)}\n`],
    ["optimizer.safetensors", await encodeTensors(tensors)],
    ["state.json", `${JSON.stringify(resume)}\n`],
  ]);
}

/** Reads `model.json` of a checkpoint folder. @throws UserError when it is missing, no JSON, or of another kind than `kind` */
export async function readDescription(folder: string, kind: ModelKind): Promise<ModelDescription> {
  const path = join(folder, DESCRIPTION);
  const description = parseDescription((await readBytes(path)).toString("utf8"), path);
  if (description.kind === kind) return description;
  throw new UserError(`checkpoint: ${folder} holds a network of kind "${description.kind}" where "${kind}" is needed`);
}

/**
 * What the header of our own weights says of them; null for other files and other kinds.
 *
 * @param path the file, for messages
 * @throws UserError when it is damaged
 */
export function describedIn(path: string, { metadata }: TensorFile, kind: ModelKind): ModelDescription | null {
  const text = metadata[METADATA];
  const description = text === undefined ? null : parseDescription(text, path);
  return description?.kind === kind ? description : null;
}

function parseDescription(text: string, path: string): ModelDescription {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UserError(`checkpoint: ${path} is not JSON (${oneLine(error)}): the checkpoint is damaged`);
  }
  if (isDescription(value)) return value;
  throw new UserError(`checkpoint: ${path} does not describe a network: the checkpoint is damaged`);
}

/**
 * Loads a checkpoint folder's weights.
 *
 * @param load puts tensors into the network: its `loadStateDict`, or a loader that knows other names too
 * @param options `strict: false` leaves alone what does not fit, as when a x4 network starts from a x2 one
 * @throws UserError naming the file and every missing, unexpected and mis-shaped tensor at once
 */
export function loadWeights(
  folder: string,
  load: (entries: StateDict, options: LoadOptions) => LoadReport,
  options: { readonly strict?: boolean } = {},
): Promise<LoadReport> {
  const path = join(folder, WEIGHTS);
  return withTensorFile(path, (file) => loadInto(path, selectWeights(file).tensors, load, options));
}

async function readAll(tensors: ReadonlyMap<string, Tensor>, step: number): Promise<Map<string, StoredEntry>> {
  const entries = new Map<string, StoredEntry>();
  for (const [name, tensor] of tensors) {
    const data = await tensor.data();
    if (!data.every((value) => Number.isFinite(value))) {
      throw new UserError(
        `train: ${name} holds a value that is no number after step ${step}: nothing is saved, lower the learning rate`,
      );
    }
    entries.set(name, storedValues(data, tensor.shape));
  }
  return entries;
}

async function readBytes(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    if (systemCode(error) === "ENOENT") throw new UserError(`checkpoint: ${path} does not exist: check the path`);
    throw new UserError(`checkpoint: ${path} cannot be read: ${oneLine(error)}`);
  }
}

function isDescription(value: unknown): value is ModelDescription {
  if (typeof value !== "object" || value === null || !("kind" in value) || !("config" in value)) return false;
  return (value.kind === "srclip" || value.kind === "sr") && typeof value.config === "object" && value.config !== null;
}
