import type { Rng } from "@deplsr/tensor";
import type { PixelImage } from "./image.ts";

/** Strengths of random changes of colour: factors are drawn from [1 − strength, 1 + strength], the hue shift from ±hue turns. */
export interface ColorJitter {
  readonly brightness?: number;
  readonly contrast?: number;
  readonly saturation?: number;
  /** In turns of the colour circle, at most 0.5. */
  readonly hue?: number;
}

/** Luma of ITU-R 601-2, in the 16-bit fixed point of PIL. */
function luma(r: number, g: number, b: number): number {
  return (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;
}

/** An RGB image with every pixel changed. */
function mapPixels(image: PixelImage, change: (r: number, g: number, b: number) => readonly number[]): PixelImage {
  const data = new Uint8ClampedArray(image.data.length);
  for (let i = 0; i < data.length; i += 3) {
    data.set(change(image.data[i]!, image.data[i + 1]!, image.data[i + 2]!), i);
  }
  return { ...image, data };
}

/** Moves every value away from (factor > 1) or towards (factor < 1) a grey. */
function blend(image: PixelImage, factor: number, grey: (r: number, g: number, b: number) => number): PixelImage {
  return mapPixels(image, (r, g, b) => {
    const base = grey(r, g, b);
    return [r, g, b].map((value) => Math.trunc(base + factor * (value - base)));
  });
}

/** The luma of every pixel in all three channels. */
export function grayscale(image: PixelImage): PixelImage {
  return blend(image, 0, luma);
}

/** Random brightness, contrast, saturation and hue of an RGB image, in random order. */
export function jitterColors(image: PixelImage, strengths: ColorJitter, rng: Rng): PixelImage {
  const { brightness = 0, contrast = 0, saturation = 0, hue = 0 } = strengths;
  if (!(hue >= 0 && hue <= 0.5)) throw new RangeError(`color jitter: hue ${hue} is not in [0, 0.5]`);
  const factor = (strength: number): number => Math.max(0, 1 + strength * (2 * rng.uniform() - 1));
  const changes: ((image: PixelImage) => PixelImage)[] = [
    (x) => (brightness > 0 ? blend(x, factor(brightness), () => 0) : x),
    (x) => (contrast > 0 ? blend(x, factor(contrast), meanLuma(x)) : x),
    (x) => (saturation > 0 ? blend(x, factor(saturation), luma) : x),
    (x) => (hue > 0 ? shiftHue(x, hue * (2 * rng.uniform() - 1)) : x),
  ];
  for (let left = changes.length; left > 1; left--) {
    const chosen = rng.integer(left);
    [changes[left - 1], changes[chosen]] = [changes[chosen]!, changes[left - 1]!];
  }
  return changes.reduce((result, change) => change(result), image);
}

function meanLuma(image: PixelImage): () => number {
  let sum = 0;
  for (let i = 0; i < image.data.length; i += 3) sum += luma(image.data[i]!, image.data[i + 1]!, image.data[i + 2]!);
  const mean = Math.trunc(sum / (image.width * image.height) + 0.5);
  return () => mean;
}

/** Turns the colour circle by `turns`, value and saturation kept. */
function shiftHue(image: PixelImage, turns: number): PixelImage {
  return mapPixels(image, (r, g, b) => {
    const value = Math.max(r, g, b);
    const chroma = value - Math.min(r, g, b);
    if (chroma === 0) return [r, g, b];
    const sixth = value === r ? (g - b) / chroma : value === g ? 2 + (b - r) / chroma : 4 + (r - g) / chroma;
    const hue = sixth + 6 * turns;
    return [5, 3, 1].map((offset) => {
      const position = (((offset + hue) % 6) + 6) % 6;
      return value - chroma * Math.max(0, Math.min(position, 4 - position, 1));
    });
  });
}
