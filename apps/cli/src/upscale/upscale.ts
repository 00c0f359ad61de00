/** Enlarging images of any size with a trained network, tile by tile. */
import { basename, dirname, join } from "node:path";
import { type PromptOptions, Restorer } from "@deplsr/restore";
import type { SrCLIPV2 } from "@deplsr/srclip";
import { type Device, interpolate, scope } from "@deplsr/tensor";
import { fromPlanes, toPlanes } from "../data/crop.ts";
import type { Image } from "../data/image.ts";
import { UserError } from "../errors.ts";
import { partAssumptions } from "../networks/detect.ts";
import { loadSr, loadSrFile, type SrNetwork, type WeightsOptions } from "../networks/sr.ts";
import { loadSrclip } from "../networks/srclip.ts";
import { findModel, leftOut, type ModelPlace, weightsOf } from "../networks/weights-file.ts";
import { runFolderOf } from "../run-folder.ts";

/** A trained network and the SRCLIP that steers it. */
export interface Upscaler {
  readonly network: SrNetwork;
  readonly srclip: SrCLIPV2 | null;
  readonly prompt: PromptOptions | null;
}

/** An upscaler as it was found. */
export interface LoadedUpscaler extends Upscaler {
  /** Whether the file says itself what it is, as ours do. */
  readonly ours: boolean;
  /** The name of the training, where the file tells. */
  readonly name: string | null;
  /** The files of weights, the network's first. */
  readonly files: readonly string[];
}

/** How the work is cut. */
export interface UpscaleOptions {
  /** Largest side of a tile in pixels of the input; default 200. */
  readonly tile?: number;
  /** As `RestoreOptions.colour`, but by default as the network makes them. */
  readonly colour?: "keep" | "free";
  /** Told after each tile. */
  readonly onTile?: (done: number, total: number) => void;
}

/** What an upscaler is loaded with besides the network's place. */
export interface UpscalerOptions extends WeightsOptions {
  /** The SRCLIP: where it is no longer where it was at training, or that of a RealDAT in a file of its own; "none" for none. */
  readonly srclip?: string;
  /** How images were shown to SRCLIP when the network was trained; by default as it says itself, else as the reference does. */
  readonly prompt?: Partial<PromptOptions>;
  /** Told what `strict: false` left out of the network, and of an SRCLIP that is of no use. */
  readonly warn?: (text: string) => void;
}

/** How the reference shows images to SRCLIP. */
const REFERENCE_PROMPT: PromptOptions = { clipInput: "raw", clipFit: "squash" };

/**
 * Loads a run's newest network, that of a checkpoint folder, or that of a file, and its SRCLIP.
 *
 * @throws UserError when something is missing or does not fit
 */
export async function loadUpscaler(
  device: Device,
  path: string,
  options: UpscalerOptions = {},
): Promise<LoadedUpscaler> {
  const place = await findModel(path);
  const steered = options.srclip !== undefined && options.srclip !== "none";
  const assumed = steered ? partAssumptions(options.assume) : { network: options.assume ?? {}, srclip: {} };
  const weights = { ...options, assume: assumed.network };
  const loaded = "folder" in place ? loadSr(device, place.folder, weights) : loadSrFile(device, place.file, weights);
  const { network, report, description } = await loaded;
  for (const line of leftOut(report)) options.warn?.(`${path}: ${line}`);
  const files = [await weightsOf(place, options.key)];
  const known = { network, ours: description !== null, name: description?.name ?? null };
  if (network.promptDim === null || description?.prompt === null || options.srclip === "none") {
    if (steered) options.warn?.(`${path} was made to work without an SRCLIP: ${options.srclip} is not used`);
    return { ...known, files, srclip: null, prompt: null };
  }
  const trained = description?.prompt;
  const where = options.srclip ?? (trained && srclipBeside(place, trained.srclip));
  if (where === undefined) {
    throw new UserError(
      `upscale: ${path} is a RealDAT, which needs an SRCLIP to tell it what an image shows and how it is degraded: give one ` +
        "with --srclip, or --srclip none to go without (worse than a DAT trained alone)",
    );
  }
  const srclip = await loadSrclip(device, where, { assume: assumed.srclip, imagesOnly: true });
  const { embedDim } = srclip.config.clip;
  if (embedDim !== network.promptDim) {
    throw new UserError(
      `upscale: ${path} was trained with an SRCLIP of ${network.promptDim} features, that of ${where} has ${embedDim}: give another one`,
    );
  }
  const { clipInput, clipFit } = { ...REFERENCE_PROMPT, ...trained, ...options.prompt };
  files.push(await weightsOf(await findModel(where)));
  return { ...known, files, srclip, prompt: { clipInput, clipFit } };
}

/** Where the SRCLIP of a network is: seen from its run's folder, or a file beside its own. */
function srclipBeside(place: ModelPlace, srclip: string): string | undefined {
  if ("folder" in place) return join(runFolderOf(place.folder), srclip);
  return basename(srclip) === srclip ? join(dirname(place.file), srclip) : undefined;
}

/** An image enlarged by the network's scale. */
export async function upscaleImage(
  device: Device,
  { network, srclip, prompt }: Upscaler,
  image: Image,
  { tile = 200, colour = "free", onTile = () => {} }: UpscaleOptions = {},
): Promise<Image> {
  const restorer = new Restorer(device, { network, srclip, ...(prompt ? { prompt } : {}) });
  const { width, height, data } = await restorer.restore(image, { tile, colour, onProgress: onTile });
  return { width, height, data: data as Uint8Array };
}

/** An image enlarged by bicubic interpolation (a = -0.5, as in MATLAB and in the papers' tables). */
export async function bicubic(device: Device, image: Image, scale: number): Promise<Image> {
  const size: [number, number] = [image.height * scale, image.width * scale];
  using enlarged = scope(() =>
    interpolate(device.tensor(toPlanes([image]), [1, 3, image.height, image.width]), {
      mode: "bicubic",
      size,
      cubicA: -0.5,
    }),
  );
  return fromPlanes(await enlarged.data(), size[1], size[0])[0]!;
}
