/** The images that the metrics of whole pictures take: 8 bits, RGB, on the host. */
import { fullRangeLuma, luma } from "./color.ts";

/** `data` holds `height · width · 3` bytes, row by row, red first. */
export interface Image {
  readonly width: number;
  readonly height: number;
  readonly data: ArrayLike<number>;
}

/** What of an image is compared: its three channels, or the luma of BT.601 in studio range (16 … 235). */
export type Channels = "rgb" | "y";

/** How PSNR and SSIM look at a pair of images. */
export interface ComparisonOptions {
  /** Default `y`, which super-resolution papers report. */
  readonly channels?: Channels;
  /** Pixels that are left out along every side; usually the scale. Default 0. */
  readonly cropBorder?: number;
}

/** One channel in f64, row by row. */
export interface Plane {
  readonly width: number;
  readonly height: number;
  readonly data: Float64Array;
}

/** The planes of an image that are compared, cropped: one of luma or three, in 0 … 255. */
export function comparedPlanes(
  image: Image,
  channels: Channels | "full range y" = "y",
  cropBorder: number = 0,
): Plane[] {
  const width = image.width - 2 * cropBorder;
  const height = image.height - 2 * cropBorder;
  if (image.data.length !== image.width * image.height * 3) {
    throw new RangeError(`image: ${image.data.length} bytes are not ${image.width} x ${image.height} RGB pixels`);
  }
  if (!Number.isInteger(cropBorder) || cropBorder < 0 || width < 1 || height < 1) {
    throw new RangeError(`image: a border of ${cropBorder} pixels leaves nothing of ${image.width} x ${image.height}`);
  }
  const plane = (value: PixelValue): Plane => {
    const data = new Float64Array(width * height);
    for (let i = 0; i < data.length; i++) {
      const at = 3 * ((Math.floor(i / width) + cropBorder) * image.width + (i % width) + cropBorder);
      data[i] = value(image.data[at]!, image.data[at + 1]!, image.data[at + 2]!);
    }
    return { width, height, data };
  };
  if (channels === "y") return [plane(luma)];
  if (channels === "full range y") return [plane(fullRangeLuma)];
  return [plane((red) => red), plane((_, green) => green), plane((_red, _green, blue) => blue)];
}

type PixelValue = (red: number, green: number, blue: number) => number;

/** Throws a `RangeError` unless both images have one size. */
export function checkPair(metric: string, image: Image, reference: Image): void {
  if (image.width !== reference.width || image.height !== reference.height) {
    throw new RangeError(
      `${metric}: the image is ${image.width} x ${image.height}, but its reference is ${reference.width} x ${reference.height}`,
    );
  }
}
