/** Networks that are shown something else than RGB in [0, 1]: `color`, `mean` and `std` of a data set. */
import { asImages, asSeen, type Channels } from "@deplsr/restore";
import { UserError } from "../errors.ts";
import type { SrNetwork } from "./sr.ts";

/** A network that was trained on such images, as one that takes and gives RGB: colours are those of bicubic interpolation where it makes luma. */
export function throughChannels(network: SrNetwork, channels: Channels): SrNetwork {
  const { color, mean, std } = channels;
  if (color === undefined && mean === undefined && std === undefined) return network;
  return {
    ...network,
    forward: (images, prompt, how) =>
      asImages(network.forward(asSeen(images, channels), prompt, how), images, channels),
  };
}

/** @throws UserError when a data set's images do not have the channels that a network takes, or mean and std other ones */
export function checkChannels({ color, mean, std }: Channels, inChannels: number): void {
  const channels = color === "y" ? 1 : 3;
  if (inChannels !== channels) {
    const images = color === "y" ? 'luma, as "datasets.train.color" says' : "images in colour";
    throw new UserError(`config: key "network_g.in_chans" is ${inChannels}: expected ${channels} for ${images}`);
  }
  for (const [name, values] of Object.entries({ mean, std })) {
    if (values === undefined || values.length === channels) continue;
    throw new UserError(
      `config: key "datasets.train.${name}" has ${values.length} numbers: expected ${channels}, one for each channel`,
    );
  }
}
