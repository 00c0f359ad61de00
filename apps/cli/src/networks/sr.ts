/** Super-resolution networks: from a configuration or a checkpoint folder to something that enlarges images. */
import { configFromReference, DAT, type DATConfig } from "@deplsr/dat";
import {
  type Init,
  type LoadOptions,
  type LoadReport,
  type Mode,
  type Module,
  type StateDict,
  selectWeights,
  type TensorFile,
  type Weights,
} from "@deplsr/nn";
import { type Channels, type PromptOptions, throughChannels } from "@deplsr/restore";
import {
  type ImagePrompt,
  RealDAT,
  type RealDATConfig,
  type RealDATForward,
  realDATConfigFromReference,
} from "@deplsr/srclip";
import { type Device, Rng, type Tensor } from "@deplsr/tensor";
import type { SrRunConfig } from "../config/sr.ts";
import { oneLine, UserError } from "../errors.ts";
import { describedIn, type ModelDescription, readDescription } from "../train/checkpoint.ts";
import { type Assumptions, type DetectedNetwork, describeNetwork, detectNetwork, refuseAssumptions } from "./detect.ts";
import { findModel, loadInto, weightsOf, withTensorFile } from "./weights-file.ts";

/** A network that enlarges images. */
export interface SrNetwork {
  readonly module: Module;
  readonly scale: number;
  readonly load: (entries: StateDict, options: LoadOptions) => LoadReport;
  /** Side of its windows. */
  readonly window: number;
  /** Width of the SRCLIP's features that can steer it; null where none can. */
  readonly promptDim: number | null;
  /** Images (b, 3, h, w) in [0, 1] → (b, 3, s·h, s·w), not clamped. */
  readonly forward: (images: Tensor, prompt: ImagePrompt | null, how?: SrForward) => Tensor;
}

/** How it runs: in inference mode, keeping its activations, unless told otherwise. */
export interface SrForward {
  readonly mode?: Mode;
  /** Recomputes blocks in the backward pass. */
  readonly checkpoint?: boolean;
  /** Shown features on their way, see `DATForward`. */
  readonly onFeatures?: NonNullable<RealDATForward["onFeatures"]>;
  /** Shown where fusion blocks look, see `RealDATForward`; not called by a network without. */
  readonly onFusion?: NonNullable<RealDATForward["onFusion"]>;
}

/** What `model.json` says of a super-resolution network. */
export interface SrDescription {
  /** `network_g` of the run, every default filled in, and `clip_dim`. */
  readonly network: Readonly<Record<string, unknown>>;
  /** The SRCLIP it was trained with, as a path from the run folder, and how that sees images; null for a network without. */
  readonly prompt: ({ readonly srclip: string } & PromptOptions) | null;
  /** What it was shown of its images; left out where that is RGB as it is. */
  readonly channels?: Channels;
  /** The training's name; older ones do not tell. */
  readonly name?: string;
}

/**
 * The network that a configuration describes.
 *
 * @param seed of its random weights; null for none, where they are about to be loaded
 * @throws UserError naming what does not fit
 */
export function makeSr(device: Device, network: Readonly<Record<string, unknown>>, seed: number | null): SrNetwork {
  const init = seed === null ? blank(device) : { device, rng: new Rng(seed).fork("weights of the network") };
  try {
    return srNetwork(srConfig(network), init);
  } catch (error) {
    throw new UserError(`config: network_g: ${oneLine(error)}`);
  }
}

/** A super-resolution network and everything that fixes it. */
export type SrConfig = Extract<DetectedNetwork, { readonly model: "DAT" | "RealDAT" }>;

/** The configuration behind `network_g` with every default filled in. @throws Error naming an argument that does not fit */
export function srConfig({ type, ...args }: SrDescription["network"]): SrConfig {
  if (type === "DAT") return { model: "DAT", config: configFromReference(args) };
  return { model: "RealDAT", config: realDATConfigFromReference(args) };
}

function srNetwork(network: SrConfig, init: Init): SrNetwork {
  return network.model === "DAT" ? datNetwork(network.config, init) : realDatNetwork(network.config, init);
}

function blank(device: Device): Init {
  return { device, rng: new Rng(0), blank: true };
}

function datNetwork(config: DATConfig, init: Init): SrNetwork {
  const module = new DAT(config, init);
  return {
    module,
    scale: config.upscale,
    window: Math.max(...config.splitSize),
    load: (...args) => module.loadStateDict(...args),
    promptDim: null,
    forward: (images, _prompt, how = {}) => module.forward(images, how),
  };
}

function realDatNetwork(config: RealDATConfig, init: Init): SrNetwork {
  const module = new RealDAT(config, init);
  return {
    module,
    scale: config.upscale,
    window: Math.max(...config.splitSize),
    load: (...args) => module.loadStateDict(...args),
    promptDim: config.clipDim,
    forward: (images, prompt, how = {}) => module.forward(images, { ...how, prompt }),
  };
}

/** `network_g` of a configuration as the arguments of the reference's constructors: DAT knows nothing of fusion. */
export function networkArguments(config: SrRunConfig["network_g"], clipDim: number | null): Record<string, unknown> {
  const entries = Object.entries(config).filter(([name]) => config.type === "RealDAT" || !name.startsWith("fusion_"));
  return {
    ...Object.fromEntries(entries),
    ...(config.type === "RealDAT" && clipDim !== null ? { clip_dim: clipDim } : {}),
  };
}

/** How weights are taken from a file. */
export interface WeightsOptions {
  /** Which of a file's state dicts; by default `selectWeights` chooses. */
  readonly key?: string;
  /** Whether every tensor has to be there and fit; by default it has. */
  readonly strict?: boolean;
  /** Instead of what is assumed of a network that does not say what it is, see `untold`. */
  readonly assume?: Assumptions;
}

/** A network with its weights. */
export interface LoadedSr {
  readonly network: SrNetwork;
  readonly report: LoadReport;
  /** Null for a file that says nothing of its network. */
  readonly description: SrDescription | null;
}

/** Loads a network from a checkpoint folder. @throws UserError as `readDescription` and `loadWeights` */
export async function loadSr(device: Device, folder: string, options: WeightsOptions = {}): Promise<LoadedSr> {
  const description = srDescription(await readDescription(folder, "sr"), folder);
  refuseAssumptions(folder, options.assume);
  const network = makeSr(device, description.network, null);
  const file = await weightsOf({ folder });
  const report = await withTensorFile(file, (opened) =>
    loadInto(file, selectWeights(opened).tensors, network.load, options),
  );
  return { network: throughChannels(network, description.channels ?? {}), report, description };
}

/**
 * Loads a network from a file. Unless it is one of ours, which say what they are, its network follows from its tensors.
 *
 * @throws UserError when the file cannot be read, holds no network that enlarges images, or one that does not fit together
 */
export function loadSrFile(device: Device, path: string, options: WeightsOptions = {}): Promise<LoadedSr> {
  return withTensorFile(path, async (file) => {
    const { tensors } = selectWeights(file, options.key);
    const description = describedSr(path, file);
    if (description) refuseAssumptions(path, options.assume);
    const network = description
      ? makeSr(device, description.network, null)
      : detectSr(device, path, tensors, options.assume);
    const report = await loadInto(path, tensors, network.load, options);
    return { network: throughChannels(network, description?.channels ?? {}), report, description };
  });
}

/**
 * Loads weights into a network from a run's folder or a file.
 *
 * @param options of a file without `key`, `selectWeights` chooses
 * @throws UserError as `loadSrFile`
 */
export async function loadSrWeights(
  network: SrNetwork,
  path: string,
  { key, ...options }: WeightsOptions = {},
): Promise<LoadReport> {
  const place = await weightsOf(await findModel(path), key);
  return withTensorFile(place, (file) => {
    const there = [...file.tensors.keys()].some((name) => name.startsWith(`${key}/`));
    return loadInto(place, selectWeights(file, there ? key : undefined).tensors, network.load, options);
  });
}

/** What the header of a file of ours says of its network; null for other files. */
export function describedSr(path: string, file: TensorFile): SrDescription | null {
  const description = describedIn(path, file, "sr");
  return description && srDescription(description, path);
}

function detectSr(device: Device, path: string, tensors: Weights["tensors"], assume: Assumptions = {}): SrNetwork {
  const found = detectNetwork(path, tensors, { whole: false, assume });
  if (found?.model === "DAT" || found?.model === "RealDAT") return srNetwork(found, blank(device));
  const what = found ? `a ${describeNetwork(found)}` : "no network that is known here";
  throw new UserError(`checkpoint: ${path} holds ${what}: a DAT or RealDAT is needed to enlarge images`);
}

function srDescription({ config }: ModelDescription, where: string): SrDescription {
  const { network, prompt, channels, name } = config as Partial<SrDescription>;
  if (typeof network !== "object" || network === null || prompt === undefined) {
    throw new UserError(`checkpoint: ${where} does not describe a super-resolution network: the checkpoint is damaged`);
  }
  return { network, prompt, ...(channels === undefined ? {} : { channels }), ...(name === undefined ? {} : { name }) };
}
