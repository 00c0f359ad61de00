/** A photograph's middle on its way through a super-resolution network. */
import { promptOf } from "@deplsr/restore";
import { type Device, noGrad, scope } from "@deplsr/tensor";
import type { Context } from "../commands/command.ts";
import { crop, toPlanes } from "../data/crop.ts";
import type { Image } from "../data/image.ts";
import type { SrForward } from "../networks/sr.ts";
import type { Upscaler } from "../upscale/upscale.ts";
import { middleOf } from "./square.ts";

/** Larger photographs are shown in part: so many pixels either way. */
const SIDE = 256;

/** The part of a photograph that is shown. */
export function shownPart(photo: Image, { output }: Context): Image {
  if (photo.width <= SIDE && photo.height <= SIDE) return photo;
  const part = middleOf(photo, SIDE);
  output.line(`the middle of the photograph is shown: ${part.width}x${part.height} at ${part.left},${part.top}`);
  return crop(photo, part);
}

/** Runs a network over a part of a photograph, steered by what the whole shows; hooks see it on its way. */
export function runThrough(
  device: Device,
  { network, srclip, prompt }: Upscaler,
  { photo, part }: { readonly photo: Image; readonly part: Image },
  hooks: Pick<SrForward, "onFeatures" | "onFusion">,
): void {
  noGrad(() =>
    scope(() => {
      const told = srclip && prompt ? promptOf(srclip, photo, prompt) : null;
      const images = device.tensor(toPlanes([part]), [1, 3, part.height, part.width]);
      network.forward(images, told, hooks);
    }),
  );
}
