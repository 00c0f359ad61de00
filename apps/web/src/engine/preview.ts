/** The picture that fills in while tiles come. */
import { type Photo, parseProfile, toSrgb } from "@deplsr/photo";
import type { RestoredTile } from "@deplsr/restore";
import type { PreviewPart } from "../client/api.ts";

/** The longest side of a preview. */
const LONGEST = 2048;

/** Shows tiles. */
export class Preview {
  readonly #photo: Photo;
  readonly #onTile: (part: PreviewPart) => void;

  constructor(photo: Photo, onTile: (part: PreviewPart) => void) {
    this.#photo = photo;
    this.#onTile = onTile;
  }

  /** Shows a tile, as soon as the browser has made a picture of it. */
  async show({ left, top, width, height, scale, data }: RestoredTile): Promise<void> {
    const photo = this.#photo;
    const profile = photo.profile && parseProfile(photo.profile);
    if (profile) await toSrgb(data, profile);
    const image = new ImageData(width * scale, height * scale);
    for (let i = 0; i < image.data.length / 4; i++) {
      image.data.set(data.subarray(i * 3, i * 3 + 3), i * 4);
      image.data[i * 4 + 3] = photo.alpha ? this.#opacity(left, top, i, width, scale) : 255;
    }
    const shrink = Math.min(1, LONGEST / (Math.max(photo.width, photo.height) * scale));
    const bitmap = await createImageBitmap(image, {
      resizeWidth: Math.max(1, Math.round(image.width * shrink)),
      resizeHeight: Math.max(1, Math.round(image.height * shrink)),
      resizeQuality: "medium",
    });
    this.#onTile({
      bitmap,
      left: left / photo.width,
      top: top / photo.height,
      width: width / photo.width,
      height: height / photo.height,
    });
  }

  /** That of the photo's own pixel. */
  #opacity(left: number, top: number, i: number, width: number, scale: number): number {
    const x = left + Math.floor((i % (width * scale)) / scale);
    const y = top + Math.floor(i / (width * scale) / scale);
    const value = this.#photo.alpha![y * this.#photo.width + x]!;
    return this.#photo.depth === 8 ? value : Math.round(value / 257);
  }
}
