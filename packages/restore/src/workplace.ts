/** Where images are restored, and what is done where that fails. */
import type { ImagePrompt, SrCLIPV2 } from "@deplsr/srclip";
import { type Device, DeviceError, noGrad, scope } from "@deplsr/tensor";
import type { RasterImage } from "./image.ts";
import type { EnlargingNetwork } from "./network.ts";
import { type PromptOptions, promptOf } from "./prompt.ts";
import { inParts } from "./tile-parts.ts";

/** A device, and the networks on it. */
export interface Workplace {
  readonly device: Device;
  readonly network: EnlargingNetwork;
  readonly srclip: SrCLIPV2 | null;
  readonly prompt: PromptOptions;
}

/**
 * Asked for another device, with the same networks on it, where one was lost or has no memory for even a small tile; null: there is none, and the
 * work ends with the error.
 *
 * @param failed the one that failed; it may be destroyed
 */
export type Replace = (error: DeviceError, failed: Device) => Promise<Workplace | null>;

/** A piece of work that so many devices in a row fail at is not going to be done. */
const MOST_DEVICES = 8;

/** The workplace of a restorer: the first one, then those that took over. */
export class LastingWorkplace {
  current: Workplace;
  readonly #replace: Replace | null;

  constructor(first: Workplace, replace: Replace | null) {
    this.current = first;
    this.#replace = replace;
  }

  /** Puts another one in the place of one that failed. @throws the error itself where that is not the device's, or there is no other */
  async moveOn(failed: Workplace, error: unknown): Promise<void> {
    const failure = error instanceof DeviceError ? error : await failureOf(failed.device);
    if (failure === null) throw error;
    // Somebody else's work may have failed there first.
    if (this.current !== failed) return;
    const next = (await this.#replace?.(failure, failed.device)) ?? null;
    if (next === null) throw failure;
    const [is, was] = [next.network, failed.network];
    if (is.scale !== was.scale)
      throw new RangeError(`restore: the network that takes over enlarges by ${is.scale}, not ${was.scale}`);
    checkSteering(next);
    this.current = next;
  }
}

/** @throws RangeError when the network cannot be steered by this SRCLIP */
export function checkSteering({ network, srclip }: Pick<Workplace, "network" | "srclip">): void {
  if (!srclip || srclip.config.clip.embedDim === network.promptDim) return;
  throw new RangeError(
    `restore: the SRCLIP has ${srclip.config.clip.embedDim} features, the network takes ${network.promptDim ?? "none"}`,
  );
}

/** Whether a device is of use after this error: it had no memory for what was asked, and may have for less. */
export async function hadNoRoom({ device }: Workplace, error: unknown): Promise<boolean> {
  return error instanceof DeviceError && (await failureOf(device)) === null;
}

/** Why a device is of no use any more; null where it is of use. */
async function failureOf(device: Device): Promise<DeviceError | null> {
  try {
    await device.sync();
    return null;
  } catch (error) {
    return error instanceof DeviceError ? error : null;
  }
}

/** What is done with one image, wherever it is done. */
export class ImageWork {
  readonly #places: LastingWorkplace;
  readonly #image: RasterImage;
  #told: { readonly place: Workplace; readonly features: ImagePrompt | null } | null = null;
  /** Tiles of more pixels are cut: the device has no memory for them. */
  #mostPixels = Number.POSITIVE_INFINITY;

  constructor(places: LastingWorkplace, image: RasterImage) {
    this.#places = places;
    this.#image = image;
  }

  /** Does a piece of work, again from its beginning on another device where one fails. */
  async on<T>(work: (place: Workplace, features: ImagePrompt | null) => Promise<T>): Promise<T> {
    for (let devices = 1; ; devices++) {
      const place = this.#places.current;
      try {
        return await work(place, this.#featuresOn(place));
      } catch (error) {
        if (devices === MOST_DEVICES) throw error;
        await this.#places.moveOn(place, error);
        this.#mostPixels = Number.POSITIVE_INFINITY;
      }
    }
  }

  /** What a network makes of a tile, planes (3, h, w) → (3, s·h, s·w); in parts where the device has no memory for all of it. */
  async tile(
    planes: Float32Array,
    size: { readonly height: number; readonly width: number },
    overlap: number,
    forward: (
      place: Workplace,
      features: ImagePrompt | null,
      planes: Float32Array,
      height: number,
      width: number,
    ) => Promise<Float32Array>,
  ): Promise<Float32Array> {
    return this.on((place, features) => {
      const { scale, window = 1 } = place.network;
      return inParts({ planes, ...size }, { scale, window, overlap }, async ({ planes, height, width }) => {
        if (height * width > this.#mostPixels) return null;
        try {
          return await forward(place, features, planes, height, width);
        } catch (error) {
          if (!(await hadNoRoom(place, error))) throw error;
          this.#mostPixels = height * width - 1;
          return error as DeviceError;
        }
      });
    });
  }

  #featuresOn(place: Workplace): ImagePrompt | null {
    if (this.#told?.place === place) return this.#told.features;
    this.dispose();
    const { srclip, prompt } = place;
    const features = srclip && noGrad(() => scope(() => promptOf(srclip, this.#image, prompt)));
    this.#told = { place, features };
    return features;
  }

  /** Gives back what it holds. */
  dispose(): void {
    const { features } = this.#told ?? {};
    features?.content.dispose();
    features?.degradation.dispose();
    this.#told = null;
  }
}
