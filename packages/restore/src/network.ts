/** What enlarges: DAT, RealDAT, or anything that has their shape. */
import { DAT } from "@deplsr/dat";
import { type ImagePrompt, RealDAT } from "@deplsr/srclip";
import type { Tensor } from "@deplsr/tensor";

/** A network that enlarges images. */
export interface EnlargingNetwork {
  /** By how much, a whole number. */
  readonly scale: number;
  /** Width of the SRCLIP's features that can steer it; null where none can. */
  readonly promptDim: number | null;
  /** Side of the windows that it looks through: tiles begin at multiples of it. Default 1. */
  readonly window?: number;
  /**
   * Whether a pass launches the same for all images of a shape and does nothing besides, so that it can be recorded and run again
   * (`Device.capture`). Default false.
   */
  readonly steady?: boolean;
  /** Images (b, 3, h, w), RGB in [0, 1] → (b, 3, s·h, s·w), not clamped. */
  readonly forward: (images: Tensor, prompt: ImagePrompt | null) => Tensor;
}

/** A DAT or RealDAT of three channels as a network that enlarges. @throws RangeError for one of other channels */
export function enlarging(module: DAT | RealDAT): EnlargingNetwork {
  const { upscale: scale, inChannels, splitSize } = module.config;
  if (inChannels !== 3) throw new RangeError(`restore: the network takes ${inChannels} channels: 3 are needed, RGB`);
  const window = Math.max(...splitSize);
  if (module instanceof DAT) {
    return { scale, window, steady: true, promptDim: null, forward: (images) => module.forward(images) };
  }
  if (module instanceof RealDAT) {
    return {
      scale,
      window,
      steady: true,
      promptDim: module.config.clipDim,
      forward: (images, prompt) => module.forward(images, { prompt }),
    };
  }
  throw new TypeError("restore: the network is neither a DAT nor a RealDAT: describe it as an EnlargingNetwork");
}
