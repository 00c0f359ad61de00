/** Super-resolution networks: from a configuration or a checkpoint folder to something that enlarges images. */
import { configFromReference, DAT } from "@deplsr/dat";
import type { LoadOptions, LoadReport, Mode, Module, StateDict } from "@deplsr/nn";
import { type ImagePrompt, RealDAT, realDATConfigFromReference } from "@deplsr/srclip";
import { type Device, Rng, type Tensor } from "@deplsr/tensor";
import type { SrRunConfig } from "../config/sr.ts";
import { oneLine, UserError } from "../errors.ts";
import { loadWeights, type ModelDescription, readDescription } from "../train/checkpoint.ts";
import type { PromptOptions } from "./prompt.ts";

/** A network that enlarges images. */
export interface SrNetwork {
  readonly module: Module;
  readonly scale: number;
  readonly load: (entries: StateDict, options: LoadOptions) => LoadReport;
  /** Whether it can be steered by SRCLIP's features. */
  readonly takesPrompt: boolean;
  /** Images (b, 3, h, w) in [0, 1] → (b, 3, s·h, s·w), not clamped. */
  readonly forward: (images: Tensor, prompt: ImagePrompt | null, mode?: Mode) => Tensor;
}

/** What `model.json` says of a super-resolution network. */
export interface SrDescription {
  /** `network_g` of the run, every default filled in, and `clip_dim`. */
  readonly network: Readonly<Record<string, unknown>>;
  /** The SRCLIP it was trained with, as a path from the run folder, and how that sees images; null for a network without. */
  readonly prompt: ({ readonly srclip: string } & PromptOptions) | null;
}

/** The network that a configuration describes, with random weights. @param clipDim width of SRCLIP's features @throws UserError naming what does not fit */
export function makeSr(device: Device, network: Readonly<Record<string, unknown>>, seed: number): SrNetwork {
  const { type, ...args } = network;
  const init = { device, rng: new Rng(seed).fork("weights of the network") };
  try {
    if (type === "DAT") {
      const dat = new DAT(configFromReference(args), init);
      const forward: SrNetwork["forward"] = (images, _prompt, mode) => dat.forward(images, mode ? { mode } : {});
      return {
        module: dat,
        load: (...args) => dat.loadStateDict(...args),
        scale: dat.config.upscale,
        takesPrompt: false,
        forward,
      };
    }
    const realDat = new RealDAT(realDATConfigFromReference(args), init);
    const forward: SrNetwork["forward"] = (images, prompt, mode) =>
      realDat.forward(images, { prompt, ...(mode ? { mode } : {}) });
    return {
      module: realDat,
      load: (...args) => realDat.loadStateDict(...args),
      scale: realDat.config.upscale,
      takesPrompt: true,
      forward,
    };
  } catch (error) {
    throw new UserError(`config: network_g: ${oneLine(error)}`);
  }
}

/** `network_g` of a configuration as the arguments of the reference's constructors: DAT knows nothing of fusion. */
export function networkArguments(config: SrRunConfig["network_g"], clipDim: number | null): Record<string, unknown> {
  const entries = Object.entries(config).filter(([name]) => config.type === "RealDAT" || !name.startsWith("fusion_"));
  return {
    ...Object.fromEntries(entries),
    ...(config.type === "RealDAT" && clipDim !== null ? { clip_dim: clipDim } : {}),
  };
}

/** Loads a network from a checkpoint folder. @throws UserError as `readDescription` and `loadWeights` */
export async function loadSr(
  device: Device,
  folder: string,
): Promise<{ network: SrNetwork; description: SrDescription }> {
  const description = srDescription(await readDescription(folder, "sr"), folder);
  const network = makeSr(device, description.network, 0);
  await loadWeights(folder, network.load);
  return { network, description };
}

function srDescription({ config }: ModelDescription, folder: string): SrDescription {
  const { network, prompt } = config as Partial<SrDescription>;
  if (typeof network !== "object" || network === null || prompt === undefined) {
    throw new UserError(
      `checkpoint: ${folder}/model.json does not describe a super-resolution network: the checkpoint is damaged`,
    );
  }
  return { network, prompt };
}
