/** The network of a configuration and the SRCLIP that steers it, as both its training and its test need them. */
import type { PromptOptions } from "@deplsr/restore";
import { RealDAT, type SrCLIPV2, startFusionFromFanIn } from "@deplsr/srclip";
import { type Device, Rng } from "@deplsr/tensor";
import type { SrRunConfig } from "../config/sr.ts";
import { UserError } from "../errors.ts";
import { exists } from "../files.ts";
import type { Output } from "../output.ts";
import { shippedFile } from "./shipped.ts";
import { loadSrWeights, makeSr, networkArguments, type SrNetwork } from "./sr.ts";
import { loadSrclip } from "./srclip.ts";
import { leftOut } from "./weights-file.ts";

/** What a configuration says of its network. */
export type NetworkConfig = Pick<SrRunConfig, "network_g" | "network_clip" | "path" | "manual_seed"> & {
  readonly train?: Pick<SrRunConfig["train"], "fusion_init">;
};

/** A network, with the weights of `path.pretrain_network_g` where there are some. */
export interface RunNetwork {
  readonly network: SrNetwork;
  readonly srclip: SrCLIPV2 | null;
  /** Where that is. */
  readonly srclipPath: string | null;
  readonly prompt: PromptOptions;
  /** Width of the SRCLIP's features; null without one. */
  readonly clipDim: number | null;
}

/** Makes the network. @throws UserError when something is missing or does not fit */
export async function networkOfRun(device: Device, run: NetworkConfig, output: Output): Promise<RunNetwork> {
  const srclipPath = await srclipPathOf(run);
  const srclip = srclipPath === null ? null : await loadSrclip(device, srclipPath, { imagesOnly: true });
  const clipDim = srclip?.config.clip.embedDim ?? null;
  const prompt: PromptOptions = {
    clipInput: run.network_clip?.clip_input ?? "normalized",
    clipFit: run.network_clip?.clip_fit ?? "squash",
  };
  const description = { type: run.network_g.type, ...networkArguments(run.network_g, clipDim) };
  const network = makeSr(device, description, run.manual_seed);
  if (network.module instanceof RealDAT && run.train?.fusion_init === "fan_in") {
    startFusionFromFanIn(network.module, { device, rng: new Rng(run.manual_seed).fork("weights of the fusion") });
  }
  await startFrom(network, run, output);
  return { network, srclip, srclipPath, prompt, clipDim };
}

async function srclipPathOf(run: NetworkConfig): Promise<string | null> {
  if (run.network_g.type === "DAT") return null;
  const path = run.path.srclip_pretrain_network;
  if (path === null) {
    throw new UserError(
      'config: key "path.srclip_pretrain_network" is missing: RealDAT needs the folder of an SRCLIP run or the name of one in the box (or take network_g.type: DAT)',
    );
  }
  return (await exists(path)) ? path : (shippedFile(path) ?? path);
}

async function startFrom(network: SrNetwork, run: NetworkConfig, output: Output): Promise<void> {
  const { pretrain_network_g: path, param_key_g: key, strict_load_g: strict } = run.path;
  if (path === null) return;
  const report = await loadSrWeights(network, path, key === null ? { strict } : { key, strict });
  for (const line of leftOut(report)) output.warn(`${path}: ${line}`);
}
