/**
 * What a checkpoint folder holds: `model.safetensors` (the reference's names), `model_ema.safetensors` where averages are kept, `model.json` (what
 * it is and its sizes), `optimizer.safetensors` (both moments) and `state.json` (step, seed, learning rates, update counts): all that resuming
 * needs, since the data and the random numbers of a step follow from the seed and its number.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type Adam,
  type Ema,
  encodeTensors,
  type LoadOptions,
  type LoadReport,
  type OptimizerState,
  type StateDict,
  selectWeights,
  storedValues,
  type TensorFile,
} from "@deplsr/nn";
import { type StoredEntry, type Tensor, writeSafetensors } from "@deplsr/tensor";
import type { CourseState } from "../data/course.ts";
import { oneLine, systemCode, UserError } from "../errors.ts";
import type { PromptStyle } from "../evaluate/protocol.ts";
import { exists } from "../files.ts";
import { DESCRIPTION, EMA_WEIGHTS, loadInto, WEIGHTS, withTensorFile } from "../networks/weights-file.ts";
import type { CheckpointFiles } from "../run-folder.ts";
import type { BestValues } from "./bests.ts";

/** Which kind of network a checkpoint holds. */
export type ModelKind = "srclip" | "sr";

/** `model.json`: enough to build the network again. */
export interface ModelDescription {
  readonly kind: ModelKind;
  readonly config: Readonly<Record<string, unknown>>;
  /** The CLIP of an SRCLIP, where it is frozen and the weights lack what its file holds. */
  readonly clip?: ClipReference;
  /** The name of the file with an SRCLIP's text tower, beside the weights, where these lack it. */
  readonly texts?: string;
  /** How an SRCLIP is asked; left out where that is as the original does. */
  readonly protocol?: Protocol;
}

/** How an SRCLIP was asked in its training: the wording of its prompts, and how images become the squares that it sees. */
export interface Protocol extends PromptStyle {
  readonly fit: "squash" | "crop";
}

/** A file of CLIP weights. */
export interface ClipReference {
  /** Its path from the run's folder: both may move together. */
  readonly file: string;
  readonly absolute: string;
  /** Of the file's bytes. */
  readonly sha256: string;
}

/** What is saved of a training. */
export interface TrainingState {
  readonly description: ModelDescription;
  /** The network's state dict. */
  readonly model: ReadonlyMap<string, Tensor>;
  readonly optimizer: Adam;
  /** Averages of the weights, where they are kept. */
  readonly ema?: Ema | null;
  readonly step: number;
  readonly seed: number;
  /** How batches fall to steps. */
  readonly course?: CourseState;
  /** The best values that were measured so far, see `BestValues`. */
  readonly best?: BestValues;
}

const FORMAT = 1;
const OPTIMIZER = "optimizer.safetensors";
const STATE = "state.json";
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
  const { step, seed, course, best = {} } = state;
  const resume = { format: FORMAT, step, seed, course, optimizer: scalars, best };
  const metadata = { step: String(state.step), ...metadataOf(state.description) };
  const averages = state.ema && (await readAll(state.ema.stateDict(), state.step));
  return new Map<string, Uint8Array | string>([
    [WEIGHTS, writeSafetensors(model, metadata)],
    ...(averages ? [[EMA_WEIGHTS, writeSafetensors(averages, metadata)] as const] : []),
    [DESCRIPTION, `${JSON.stringify(state.description, null, 2)}\n`],
    [OPTIMIZER, await encodeTensors(tensors)],
    [STATE, `${JSON.stringify(resume)}\n`],
  ]);
}

/** What a training goes on with. */
export interface Restorable {
  /** Puts a checkpoint's weights into the network. */
  readonly load: (entries: StateDict, options: LoadOptions) => LoadReport;
  readonly optimizer: Adam;
  readonly ema?: Ema | null;
  readonly seed: number;
}

/**
 * Brings a training to the state of a checkpoint folder.
 *
 * @returns the step that it was written after, the best values up to it, and how batches fell to steps
 * @throws UserError naming the file that is missing, damaged, or does not fit
 */
export async function restoreTraining(
  folder: string,
  { load, optimizer, ema, seed }: Restorable,
): Promise<Pick<SavedState, "step" | "best" | "course">> {
  const path = join(folder, STATE);
  const state = parseState((await readBytes(path)).toString("utf8"), path);
  if (state.seed !== seed) {
    throw new UserError(
      `train: ${folder} was trained with seed ${state.seed}, the configuration says ${seed}: take that one, or leave --config out, since a run has its own`,
    );
  }
  await loadWeights(folder, load);
  const fill = (file: string, use: Restorable["load"]): Promise<LoadReport> =>
    withTensorFile(file, ({ tensors }) => loadInto(file, tensors, use));
  await fill(join(folder, OPTIMIZER), (tensors, options) =>
    optimizer.loadStateDict({ tensors, scalars: state.optimizer }, options),
  );
  if (ema) {
    const averages = join(folder, EMA_WEIGHTS);
    // A run that began without averages begins them with the weights as they are.
    if (await exists(averages)) await fill(averages, (entries, options) => ema.loadStateDict(entries, options));
    else ema.restart();
  }
  return state;
}

interface SavedState {
  readonly step: number;
  readonly seed: number;
  readonly optimizer: OptimizerState["scalars"];
  readonly best: BestValues;
  /** Left out by versions that knew one process only. */
  readonly course?: CourseState;
}

function parseState(text: string, path: string): SavedState {
  let value: Partial<SavedState> & { readonly format?: number };
  try {
    value = JSON.parse(text) as typeof value;
  } catch (error) {
    throw new UserError(`checkpoint: ${path} is not JSON (${oneLine(error)}): the checkpoint is damaged`);
  }
  const { format, step, seed, optimizer, best = {}, course } = value;
  if (format !== FORMAT) {
    throw new UserError(`checkpoint: ${path} is of format ${JSON.stringify(format)}, this version reads ${FORMAT}`);
  }
  if (!Number.isSafeInteger(step) || typeof seed !== "number" || typeof optimizer !== "object") {
    throw new UserError(`checkpoint: ${path} does not say where the training stood: the checkpoint is damaged`);
  }
  return { step: step!, seed, optimizer, best, ...(course ? { course } : {}) };
}

/** Reads `model.json` of a checkpoint folder. @throws UserError when it is missing, no JSON, or of another kind than `kind` */
export async function readDescription(folder: string, kind: ModelKind): Promise<ModelDescription> {
  const path = join(folder, DESCRIPTION);
  const description = parseDescription((await readBytes(path)).toString("utf8"), path);
  if (description.kind === kind) return description;
  throw new UserError(`checkpoint: ${folder} holds a network of kind "${description.kind}" where "${kind}" is needed`);
}

/** What the header of weights says of them. */
export function metadataOf(description: ModelDescription): Record<string, string> {
  return { [METADATA]: JSON.stringify(description) };
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
