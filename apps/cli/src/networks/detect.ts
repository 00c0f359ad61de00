/** Which network a file's weights belong to, from the names and shapes of its tensors alone. */
import { type CLIPConfig, clipAssumptions, countCLIPParameters, detectCLIP, VIT_B_32 } from "@deplsr/clip";
import { countParameters, type DATConfig, datAssumptions, datState, detectDAT } from "@deplsr/dat";
import {
  countFinetuneCLIPParameters,
  countSrCLIPParameters,
  detectRealDAT,
  detectSrCLIP,
  type RealDATConfig,
  realDATAssumptions,
  realDATParameterCount,
  type SrCLIPDescription,
} from "@deplsr/srclip";
import { oneLine, UserError } from "../errors.ts";
import { counted } from "../output.ts";

/** A network and everything that fixes it; the packages' `detect…` say what shapes do not tell. */
export type DetectedNetwork =
  | { readonly model: "DAT"; readonly config: DATConfig }
  | { readonly model: "RealDAT"; readonly config: RealDATConfig }
  | { readonly model: "CLIP"; readonly config: CLIPConfig }
  | SrCLIPDescription;

/** Values in the place of those that `untold` names; whoever detects a network checks them. */
export type Assumptions = Readonly<Record<string, unknown>>;

/** How a network is detected. */
export interface DetectNetworkOptions {
  /** `false` leaves it to the loader to list what is missing, too much or of another shape in a DAT or RealDAT. */
  readonly whole?: boolean;
  readonly assume?: Assumptions;
}

/**
 * The network of a file's weights; null for one that is not known.
 *
 * @param path the file, for messages
 * @param tensors by their names in the network, without a `module.` in front
 * @throws UserError naming what differs, when the names are a known network's but do not fit together, or what is wrong in `assume`
 */
export function detectNetwork(
  path: string,
  tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>,
  options: DetectNetworkOptions = {},
): DetectedNetwork | null {
  const shapes = new Map([...tensors].map(([name, { shape }]) => [name, shape]));
  try {
    const realDat = detectRealDAT(shapes, options);
    if (realDat) return { model: "RealDAT", config: realDat };
    const dat = detectDAT(shapes, options);
    if (dat) return { model: "DAT", config: dat };
    const srclip = detectSrCLIP(shapes, options);
    if (srclip) return srclip;
    const clip = detectCLIP(shapes, options);
    return clip && { model: "CLIP", config: clip };
  } catch (error) {
    throw new UserError(`checkpoint: ${path}: ${oneLine(error)}`);
  }
}

/** Parts assumptions into those of an SRCLIP and those of the network that it steers. */
export function partAssumptions(assume: Assumptions = {}): { srclip: Assumptions; network: Assumptions } {
  const names = Object.keys(clipAssumptions(VIT_B_32));
  const ofClip = ([name]: readonly [string, unknown]): boolean => names.includes(name);
  const entries = Object.entries(assume);
  return {
    srclip: Object.fromEntries(entries.filter(ofClip)),
    network: Object.fromEntries(entries.filter((entry) => !ofClip(entry))),
  };
}

/** Refuses assumptions about a network that says itself what it is. @throws UserError */
export function refuseAssumptions(path: string, assume: Assumptions = {}): void {
  const [name] = Object.keys(assume);
  if (name !== undefined) throw new UserError(`checkpoint: ${path} says itself what it is: leave out --assume ${name}`);
}

/** Number of a network's trained values; buffers do not count, and a tensor under two names counts once. */
export function parameterCount(network: DetectedNetwork): number {
  switch (network.model) {
    case "DAT":
      return countParameters(datState(network.config));
    case "RealDAT":
      return realDATParameterCount(network.config);
    case "CLIP":
      return countCLIPParameters(network.config).total;
    case "SrCLIP":
      return countSrCLIPParameters({ ...network.config, fineDegradations: 0 }).v1;
    case "SrCLIPV2":
      return countSrCLIPParameters(network.config).v2;
    case "FinetuneCLIP":
      return countFinetuneCLIPParameters(network.config);
  }
}

/** A few words on a network: `DAT x4`, or the sizes of an image tower. */
export function describeNetwork(network: DetectedNetwork): string {
  if ("upscale" in network.config) return `${network.model} x${network.config.upscale}`;
  const { vision } = "clip" in network.config ? network.config.clip : network.config;
  return `${network.model}, image tower ${counted(vision.layers, "block")} of ${vision.width}, patches of ${vision.patchSize} in ${vision.imageSize}x${vision.imageSize}`;
}

/** What decides a network's numbers, but does not show in its tensors; the packages' `detect…` say what is taken instead. */
export function untold(network: DetectedNetwork): Assumptions {
  switch (network.model) {
    case "DAT":
      return datAssumptions(network.config);
    case "RealDAT":
      return realDATAssumptions(network.config);
    case "CLIP":
      return clipAssumptions(network.config);
    default:
      return clipAssumptions(network.config.clip);
  }
}
