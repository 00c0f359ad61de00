/** The part of a result that is seen, as fine as the screen is: previews of large results are coarser. */
import type { EnlargedPhoto } from "../client/api.ts";
import type { Layers } from "./painter.ts";

/** How long what is seen must stay before its details are asked for, in ms. */
const SETTLED = 120;

type Layer = NonNullable<Layers["detail"]>;

/** What is seen of a result. */
export interface Seen {
  readonly result: EnlargedPhoto;
  /** In pixels of the photo. */
  readonly part: Layer["part"];
  /** Pixels of the result for one of the photo. */
  readonly ratio: number;
  /** Pixels of the screen for one of the photo. */
  readonly zoom: number;
}

/** Gets details once what is seen stays. */
export class Detail {
  readonly #onLayer: () => void;
  #layer: Layers["detail"] = null;
  /** What is there, or on its way. */
  #wanted: Seen | null = null;
  #settling: ReturnType<typeof setTimeout> | undefined;

  /** @param onLayer told when there is something new to show */
  constructor(onLayer: () => void) {
    this.#onLayer = onLayer;
  }

  /** What there is to show. */
  get layer(): Layers["detail"] {
    return this.#layer;
  }

  /** Gets what is seen, unless it is there or on its way. */
  ask(seen: Seen): void {
    if (this.#wanted?.result === seen.result && sameParts(this.#wanted, seen)) return;
    this.#wanted = seen;
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => void this.#get(seen), SETTLED);
  }

  /** Shows nothing any more, and wants nothing. */
  drop(): void {
    clearTimeout(this.#settling);
    this.#wanted = null;
    this.#layer?.bitmap.close();
    this.#layer = null;
  }

  async #get(seen: Seen): Promise<void> {
    const { result, part, ratio, zoom } = seen;
    const left = Math.floor(part.x * ratio);
    const top = Math.floor(part.y * ratio);
    const width = Math.min(result.width - left, Math.ceil(part.width * ratio));
    const height = Math.min(result.height - top, Math.ceil(part.height * ratio));
    const shrink = Math.min(1, zoom / ratio);
    const out = {
      outWidth: Math.max(1, Math.round(width * shrink)),
      outHeight: Math.max(1, Math.round(height * shrink)),
    };
    // The result may be gone by now; the coarse picture stays then.
    const bitmap = await result.crop({ left, top, width, height, ...out }).catch(() => null);
    if (this.#wanted !== seen) bitmap?.close();
    else if (bitmap !== null) {
      this.#layer?.bitmap.close();
      this.#layer = { bitmap, part };
      this.#onLayer();
    }
  }
}

function sameParts({ part: a }: Seen, { part: b }: Seen): boolean {
  return a.x === b.x && a.y === b.y && a.width === b.width && a.height === b.height;
}
