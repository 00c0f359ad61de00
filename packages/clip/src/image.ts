/** An 8-bit image on the host: rows from the top, pixels from the left, channels together (grey, or R, G, B). */
export interface PixelImage {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  /** height · width · channels values, 0..255 */
  readonly data: Uint8Array | Uint8ClampedArray;
}

/** @throws RangeError unless the image has pixels, 1 or 3 channels, and as much data as its size says. */
export function checkImage(where: string, image: PixelImage): void {
  const { width, height, channels, data } = image;
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0)) {
    throw new RangeError(`${where}: an image of ${width}x${height} pixels has nothing in it`);
  }
  if (channels !== 1 && channels !== 3) {
    throw new RangeError(`${where}: an image needs 1 channel (grey) or 3 (RGB), got ${channels as number}`);
  }
  if (data.length !== width * height * channels) {
    throw new RangeError(
      `${where}: ${width}x${height}x${channels} needs ${width * height * channels} values, got ${data.length}`,
    );
  }
}

/** A new image whose pixel (x, y) is the pixel `source(x, y)` of another one, or `fill` where that is null. */
export function gatherPixels(
  image: PixelImage,
  size: { readonly width: number; readonly height: number },
  source: (x: number, y: number) => readonly [number, number] | null,
  fill = 0,
): PixelImage {
  const { channels } = image;
  const data = new Uint8Array(size.width * size.height * channels).fill(fill);
  for (let y = 0, to = 0; y < size.height; y++) {
    for (let x = 0; x < size.width; x++, to += channels) {
      const at = source(x, y);
      if (!at) continue;
      const from = (at[1] * image.width + at[0]) * channels;
      for (let c = 0; c < channels; c++) data[to + c] = image.data[from + c]!;
    }
  }
  return { width: size.width, height: size.height, channels, data };
}

/** A rectangle of pixels inside an image. */
export interface Rectangle {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Cuts a rectangle out; what lies outside the image becomes `fill`. */
export function cropImage(image: PixelImage, box: Rectangle, fill = 0): PixelImage {
  return gatherPixels(
    image,
    box,
    (x, y) => {
      const column = x + box.left;
      const row = y + box.top;
      return column >= 0 && row >= 0 && column < image.width && row < image.height ? [column, row] : null;
    },
    fill,
  );
}

/** Grey becomes RGB by repeating the value; RGB stays. */
export function toRgb(image: PixelImage): PixelImage {
  if (image.channels === 3) return image;
  const data = new Uint8Array(image.data.length * 3);
  for (let i = 0; i < image.data.length; i++) data.fill(image.data[i]!, 3 * i, 3 * i + 3);
  return { width: image.width, height: image.height, channels: 3, data };
}

/** To the nearest whole number, ties to the even one: what Python's `round` does, which decides where crops begin. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}
