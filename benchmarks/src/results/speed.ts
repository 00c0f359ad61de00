/** How long a megapixel takes. */
import type { Image } from "../../../apps/cli/src/data/image.ts";
import type { OurModel } from "./enlargers.ts";

/** The time of one image. */
export interface Speed {
  readonly model: string;
  readonly scale: number;
  readonly seconds: number;
}

/** A megapixel is 1000 x 1000. */
const SIDE = 1000;

/** Seconds that a network takes for a megapixel, from pixels to pixels; once, after a small image. */
export async function measureSpeed(model: OurModel, photograph: Image): Promise<Speed> {
  await model.enlarge(repeated(photograph, 128));
  const megapixel = repeated(photograph, SIDE);
  const started = performance.now();
  await model.enlarge(megapixel);
  return { model: model.name, scale: model.scale, seconds: (performance.now() - started) / 1000 };
}

/** A square of an image, which begins again where it ends. */
export function repeated({ width, height, data }: Image, side: number): Image {
  const result = new Uint8Array(side * side * 3);
  for (let i = 0; i < result.length; i++) {
    const [x, y] = [Math.floor(i / 3) % side, Math.floor(i / 3 / side)];
    result[i] = data[((y % height) * width + (x % width)) * 3 + (i % 3)]!;
  }
  return { width: side, height: side, data: result };
}
