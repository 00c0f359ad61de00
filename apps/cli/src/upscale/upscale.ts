/** Enlarging images of any size with a trained network, tile by tile. */
import { join } from "node:path";
import { planTiles, type Region } from "@deplsr/dat";
import type { ImagePrompt, SrCLIPV2 } from "@deplsr/srclip";
import { type Device, interpolate, noGrad, scope } from "@deplsr/tensor";
import { fromPlanes, toPlanes } from "../data/crop.ts";
import type { Image } from "../data/image.ts";
import { UserError } from "../errors.ts";
import { partAssumptions } from "../networks/detect.ts";
import { imagePrompt, type PromptOptions, squareForPrompt } from "../networks/prompt.ts";
import { loadSr, loadSrFile, type SrNetwork, type WeightsOptions } from "../networks/sr.ts";
import { loadSrclip } from "../networks/srclip.ts";
import { findModel, leftOut } from "../networks/weights-file.ts";
import { runFolderOf } from "../run-folder.ts";

/** A trained network and the SRCLIP that steers it. */
export interface Upscaler {
  readonly network: SrNetwork;
  readonly srclip: SrCLIPV2 | null;
  readonly prompt: PromptOptions | null;
}

/** How the work is cut. */
export interface UpscaleOptions {
  /** Largest side of a tile in pixels of the input; default 200. */
  readonly tile?: number;
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
export async function loadUpscaler(device: Device, path: string, options: UpscalerOptions = {}): Promise<Upscaler> {
  const place = await findModel(path);
  const folder = "folder" in place ? place.folder : null;
  const steered = options.srclip !== undefined && options.srclip !== "none";
  const assumed = steered ? partAssumptions(options.assume) : { network: options.assume ?? {}, srclip: {} };
  const weights = { ...options, assume: assumed.network };
  const loaded = "folder" in place ? loadSr(device, place.folder, weights) : loadSrFile(device, place.file, weights);
  const { network, report, description } = await loaded;
  for (const line of leftOut(report)) options.warn?.(`${path}: ${line}`);
  if (network.promptDim === null || description?.prompt === null || options.srclip === "none") {
    if (steered) options.warn?.(`${path} was made to work without an SRCLIP: ${options.srclip} is not used`);
    return { network, srclip: null, prompt: null };
  }
  const trained = description?.prompt;
  const where = options.srclip ?? (folder !== null && trained ? join(runFolderOf(folder), trained.srclip) : undefined);
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
  return { network, srclip, prompt: { clipInput, clipFit } };
}

/**
 * Enlarges an image by the network's scale. Only a tile at a time is on the device, so the image may be of any size; SRCLIP's
 * features are those of the whole image.
 */
export async function upscaleImage(
  device: Device,
  { network, srclip, prompt }: Upscaler,
  image: Image,
  { tile = 200, onTile = () => {} }: UpscaleOptions = {},
): Promise<Image> {
  const { scale } = network;
  const { rows } = planTiles([image.height, image.width], { scale, tile });
  const tiles = rows.flat();
  const result: Image = {
    width: image.width * scale,
    height: image.height * scale,
    data: new Uint8Array(image.width * scale * image.height * scale * 3),
  };
  const features = srclip && prompt ? promptOf(device, srclip, prompt, image) : null;
  try {
    for (const [i, { input, used, output }] of tiles.entries()) {
      const part = mirrored(image, input);
      using enlarged = scope(() =>
        noGrad(() => network.forward(device.tensor(toPlanes([part]), [1, 3, part.height, part.width]), features)),
      );
      const [piece] = fromPlanes(await enlarged.data(), part.width * scale, part.height * scale);
      paste(result, piece!, used, output);
      onTile(i + 1, tiles.length);
    }
  } finally {
    features?.content.dispose();
    features?.degradation.dispose();
  }
  return result;
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

function promptOf(device: Device, srclip: SrCLIPV2, options: PromptOptions, image: Image): ImagePrompt {
  const { imageSize } = srclip.config.clip.vision;
  return scope(() => {
    const square = device.tensor(squareForPrompt(image, imageSize, options.clipFit), [1, 3, imageSize, imageSize]);
    return imagePrompt(srclip, square, options);
  });
}

/** A region of an image that may reach beyond its right and lower edge, where it is mirrored, the edge pixel included. */
function mirrored(image: Image, { top, bottom, left, right }: Region): Image {
  const [width, height] = [right - left, bottom - top];
  const data = new Uint8Array(width * height * 3);
  const inside = (at: number, size: number): number => (at < size ? at : Math.max(0, 2 * size - 1 - at));
  for (let y = 0; y < height; y++) {
    const row = inside(top + y, image.height) * image.width;
    for (let x = 0; x < width; x++) {
      const from = (row + inside(left + x, image.width)) * 3;
      const to = (y * width + x) * 3;
      for (let c = 0; c < 3; c++) data[to + c] = image.data[from + c]!;
    }
  }
  return { width, height, data };
}

/** Copies the used part of a piece to its place, cut where the result ends. */
function paste(result: Image, piece: Image, used: Region, output: Region): void {
  const width = Math.min(output.right, result.width) - output.left;
  const height = Math.min(output.bottom, result.height) - output.top;
  for (let y = 0; y < height; y++) {
    const from = ((used.top + y) * piece.width + used.left) * 3;
    result.data.set(piece.data.subarray(from, from + width * 3), ((output.top + y) * result.width + output.left) * 3);
  }
}
