/** Whether `color`, `mean` and `std` of a data set fit a network. */
import type { Channels } from "@deplsr/restore";
import { UserError } from "../errors.ts";

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
