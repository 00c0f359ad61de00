/** The networks in the box, fetched when they are needed and kept, so that another device can have them too. */
import { clipConfig } from "@deplsr/clip";
import { type EnlargingNetwork, enlarging, type PromptOptions } from "@deplsr/restore";
import {
  loadImageSide,
  RealDAT,
  realDATConfigFromReference,
  SrCLIPV2,
  type SrCLIPV2Config,
  srclipConfig,
} from "@deplsr/srclip";
import { type Device, Rng, readSafetensors, type Safetensors } from "@deplsr/tensor";
import { loadPrompts, type Prompts } from "./diagnosis.ts";
import { firstLine } from "./message.ts";

/** The files. */
const FILES = {
  x2: new URL("@deplsr/models/weights/realdat-x2.safetensors", import.meta.url),
  x4: new URL("@deplsr/models/weights/realdat-x4.safetensors", import.meta.url),
  srclip: new URL("@deplsr/models/weights/srclip.safetensors", import.meta.url),
  prompts: new URL("@deplsr/models/weights/srclip-prompts.safetensors", import.meta.url),
} as const;

/** A file of weights. */
export type ModelFile = keyof typeof FILES;

/** A file's contents. */
interface Fetched {
  readonly file: Safetensors;
  /** Its hash, as hexadecimal; null where the page is not served securely. */
  readonly sha256: string | null;
}

const fetched = new Map<ModelFile, Promise<Fetched>>();

/** Fetches a file of weights, once. @throws Error with one line where it cannot be had */
export function fetchModel(name: ModelFile): Promise<Fetched> {
  let file = fetched.get(name);
  if (!file) {
    file = fetchFile(FILES[name]);
    // Another attempt may find the network back.
    file.catch(() => fetched.delete(name));
    fetched.set(name, file);
  }
  return file;
}

async function fetchFile(url: URL): Promise<Fetched> {
  const why = (reason: string): Error =>
    new Error(`${url.pathname.replace(/^.*\//, "")} cannot be loaded (${reason}): try again when the network is back`);
  const response = await fetch(url).catch((error: unknown) => {
    throw why(firstLine(error));
  });
  if (!response.ok) throw why(`${response.status} ${response.statusText}`.trim());
  const bytes = new Uint8Array(await response.arrayBuffer());
  const digest = globalThis.crypto?.subtle && new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const sha256 = digest ? Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") : null;
  return { file: readSafetensors(bytes), sha256 };
}

/** What a file of ours says of the network in it. */
function described<Config>({ metadata }: Safetensors): Config {
  return (JSON.parse(metadata.model!) as { config: Config }).config;
}

/** A network that enlarges, and how it wants its photos shown to the SRCLIP. */
export interface LoadedNetwork {
  readonly network: EnlargingNetwork;
  readonly prompt: PromptOptions;
  readonly sha256: string | null;
}

/** Loads the network of a scale. */
export async function loadNetwork(device: Device, scale: 2 | 4): Promise<LoadedNetwork> {
  const { file, sha256 } = await fetchModel(scale === 2 ? "x2" : "x4");
  const { network, prompt } = described<{ network: Record<string, unknown>; prompt: PromptOptions }>(file);
  const { type: _, ...args } = network;
  const module = new RealDAT(realDATConfigFromReference(args), { device, rng: new Rng(0), blank: true });
  module.freeze();
  module.loadStateDict(file.tensors);
  const { clipInput, clipFit } = prompt;
  return { network: enlarging(module), prompt: { clipInput, clipFit }, sha256 };
}

/** The image side of the SRCLIP, and what it is asked. */
export interface LoadedSrclip {
  readonly device: Device;
  readonly model: SrCLIPV2;
  readonly prompts: Prompts;
  readonly sha256: string | null;
}

/** Loads them. */
export async function loadSrclip(device: Device): Promise<LoadedSrclip> {
  const [{ file, sha256 }, prompts] = await Promise.all([fetchModel("srclip"), fetchModel("prompts")]);
  const { clip, ...rest } = described<SrCLIPV2Config>(file);
  const model = new SrCLIPV2(srclipConfig(clipConfig(clip), rest), { device, rng: new Rng(0), blank: true });
  model.freeze();
  loadImageSide(model, file.tensors);
  return { device, model, prompts: loadPrompts(prompts.file, device), sha256 };
}
