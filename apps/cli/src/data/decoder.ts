/** Reading images for training: several at a time, and each only once while memory allows it. */
import { availableParallelism } from "node:os";
import { type Image, readImage } from "./image.ts";

/** How much a decoder does at once and keeps. */
export interface DecoderOptions {
  /** Images decoded at a time, in threads of the decoder's own. Default: as many as the machine has cores. */
  readonly workers?: number;
  /** Decoded images are kept until they take this many bytes. Default 1 GiB; 0 keeps none. */
  readonly cacheBytes?: number;
}

/**
 * Reads image files. What is in memory stays there and what does not fit is read anew: a training comes to every image once in an epoch,
 * so that throwing out old ones for new ones would never find anything again.
 */
export class Decoder {
  readonly #cache = new Map<string, Promise<Image>>();
  readonly #waiting: (() => void)[] = [];
  #free: number;
  #bytesLeft: number;

  constructor({ workers = availableParallelism(), cacheBytes = 2 ** 30 }: DecoderOptions = {}) {
    this.#free = Math.max(1, workers);
    this.#bytesLeft = cacheBytes;
  }

  /** An image, see `readImage`. Asking twice at the same time reads once. @throws UserError as `readImage` */
  readonly read = (path: string): Promise<Image> => {
    const known = this.#cache.get(path);
    if (known !== undefined) return known;
    const image = this.#decode(path);
    this.#cache.set(path, image);
    image.then(
      ({ data }) => {
        if (data.length > this.#bytesLeft) this.#cache.delete(path);
        else this.#bytesLeft -= data.length;
      },
      () => this.#cache.delete(path),
    );
    return image;
  };

  async #decode(path: string): Promise<Image> {
    if (this.#free === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#free -= 1;
    try {
      return await readImage(path);
    } finally {
      // The next in line takes the place over.
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}
