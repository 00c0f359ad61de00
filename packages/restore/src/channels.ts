/** What a network is shown of its images, and how what it makes becomes images again: `color`, `mean` and `std` of a training's data set. */
import { add, div, interpolate, mul, sub, sum, type Tensor } from "@deplsr/tensor";

/** The fields of a data set that say so. */
export interface Channels {
  readonly color?: "y" | undefined;
  readonly mean?: readonly number[] | undefined;
  readonly std?: readonly number[] | undefined;
}

/** Luma of BT.601 from red, green and blue in [0, 1], as MATLAB's rgb2ycbcr has it: in [16/255, 235/255]. */
const LUMA = [65.481 / 255, 128.553 / 255, 24.966 / 255];
const LUMA_START = 16 / 255;

/** Images (b, 3, h, w), RGB in [0, 1] → (b, c, h, w): luma where it is asked for (c = 1, else 3), then minus mean, over std. */
export function asSeen(images: Tensor, { color, mean, std }: Channels): Tensor {
  let seen = color === "y" ? luma(images) : images;
  if (mean !== undefined) seen = sub(seen, perChannel(images, mean));
  return std === undefined ? seen : div(seen, perChannel(images, std));
}

/** What makes larger images out of images, and may be told more. */
export interface Enlarging {
  readonly forward: (images: Tensor, ...told: never[]) => Tensor;
}

/** A network that was trained on such images, as one that takes and gives RGB: colours are those of bicubic interpolation where it makes luma. */
export function throughChannels<Network extends Enlarging>(network: Network, channels: Channels): Network {
  const { color, mean, std } = channels;
  if (color === undefined && mean === undefined && std === undefined) return network;
  return {
    ...network,
    forward: (images: Tensor, ...told: never[]) => {
      let made = network.forward(asSeen(images, channels), ...told);
      if (std !== undefined) made = mul(made, perChannel(images, std));
      if (mean !== undefined) made = add(made, perChannel(images, mean));
      if (color === undefined) return made;
      const [height, width] = made.shape.slice(2) as [number, number];
      const large = interpolate(images, { mode: "bicubic", size: [height, width], cubicA: -0.5 });
      // Luma moves red, green and blue alike where the colour differences stay.
      return add(large, mul(sub(made, luma(large)), 255 / 219));
    },
  };
}

function luma(images: Tensor): Tensor {
  return add(sum(mul(images, perChannel(images, LUMA)), { dim: 1, keepDim: true }), LUMA_START);
}

function perChannel({ device }: Tensor, values: readonly number[]): Tensor {
  return device.tensor([...values], [1, values.length, 1, 1]);
}
