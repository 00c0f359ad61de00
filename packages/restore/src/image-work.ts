/** The work on one image, on one device after the other where they fail. */
import type { ImagePrompt } from "@deplsr/srclip";
import { type DeviceError, noGrad, scope } from "@deplsr/tensor";
import type { RasterImage } from "./image.ts";
import { promptOf } from "./prompt.ts";
import { inParts } from "./tile-parts.ts";
import { TilePasses, type TileSize, type TilingWork } from "./tile-passes.ts";
import { hadNoRoom, type LastingWorkplace, type Workplace } from "./workplace.ts";

/** A piece of work that so many devices in a row fail at is not going to be done. */
const MOST_DEVICES = 8;

/** What is done with one image, wherever it is done. */
export class ImageWork {
  readonly #places: LastingWorkplace;
  readonly #image: RasterImage;
  #told: { readonly place: Workplace; readonly features: ImagePrompt | null } | null = null;
  #passes: TilePasses | null = null;
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
  async tile(planes: Float32Array, size: TileSize, work: TilingWork): Promise<Float32Array> {
    return this.on((place, features) => {
      const { scale, window = 1 } = place.network;
      this.#passes ??= new TilePasses(place, features, work);
      const passes = this.#passes;
      return inParts({ planes, ...size }, { scale, window, overlap: work.overlap }, async (tile) => {
        if (tile.height * tile.width > this.#mostPixels) return null;
        for (;;) {
          try {
            return await passes.run(tile);
          } catch (error) {
            if (!(await hadNoRoom(place, error))) throw error;
            // First without what is kept for the tiles to come.
            if (passes.stop()) continue;
            this.#mostPixels = tile.height * tile.width - 1;
            return error as DeviceError;
          }
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
    this.#passes?.stop();
    this.#passes = null;
    const { features } = this.#told ?? {};
    features?.content.dispose();
    features?.degradation.dispose();
    this.#told = null;
  }
}
