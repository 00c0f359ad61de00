/** Whatever makes a larger image of an image: our networks, interpolation, and UpscalerJS. */
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { MODELS, shippedModel } from "@deplsr/models";
import { Restorer } from "@deplsr/restore";
import type { Device } from "@deplsr/tensor";
import type { Image } from "../../../apps/cli/src/data/image.ts";
import { bicubic, loadUpscaler } from "../../../apps/cli/src/upscale/upscale.ts";
import { lanczos } from "./lanczos.ts";
import { UPSCALER_MODELS, UpscalerProcess } from "./upscaler-process.ts";

/** A row of a table. */
export interface Enlarger {
  readonly name: string;
  /** By how much it enlarges. */
  readonly scale: number;
  readonly enlarge: (image: Image) => Promise<Image>;
}

/** A network of ours. */
export interface OurModel extends Enlarger {
  readonly restorer: Restorer;
}

/** The names of all super-resolution networks in the box. */
export const SHIPPED: readonly string[] = MODELS.filter(({ kind }) => kind === "sr").map(({ name }) => name);

/** Where a model's weights are: those of a name in the box, else a run folder or a file. */
export function placeOf(nameOrPath: string): string {
  const shipped = shippedModel(nameOrPath);
  return shipped ? fileURLToPath(shipped.weights) : nameOrPath;
}

/**
 * Loads a network of ours; it enlarges as `deplsr upscale` does by default, colours held.
 *
 * @param srclip the SRCLIP of a file; a run says itself where its own is
 */
export async function loadOurs(device: Device, nameOrPath: string, srclip: string): Promise<OurModel> {
  const place = placeOf(nameOrPath);
  const isRun = (await stat(place).catch(() => null))?.isDirectory() ?? false;
  const loaded = await loadUpscaler(device, place, isRun ? {} : { srclip: placeOf(srclip) });
  const { network, prompt } = loaded;
  const restorer = new Restorer(device, { network, srclip: loaded.srclip, ...(prompt ? { prompt } : {}) });
  return {
    name: shippedModel(nameOrPath)?.name ?? loaded.name ?? basename(nameOrPath),
    scale: network.scale,
    restorer,
    async enlarge(image) {
      const { width, height, data } = await restorer.restore(image);
      return { width, height, data: data as Uint8Array }; // 8 bits, as the image
    },
  };
}

/** Interpolation: what costs nothing, and what a network has to be better than. */
export function interpolations(device: Device, scale: number): Enlarger[] {
  return [
    { name: "bicubic", scale, enlarge: (image) => bicubic(device, image, scale) },
    { name: "Lanczos-3", scale, enlarge: async (image) => lanczos(image, scale) },
  ];
}

/** The networks of UpscalerJS at a scale, each in a process of its own. @param folder where the peers are installed */
export function upscalers(folder: string, scale: number): (Enlarger & { readonly stop: () => void })[] {
  return UPSCALER_MODELS.map((model) => {
    const child = new UpscalerProcess(folder, model, scale);
    return {
      name: `UpscalerJS ${model}`,
      scale,
      enlarge: (image) => child.enlarge(image),
      stop: () => child.stop(),
    };
  });
}
