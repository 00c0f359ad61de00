/** The colour profile of files that would say nothing of their colours otherwise. */
import sharp from "sharp";

let profile: Promise<Uint8Array> | null = null;

/** The bytes of an sRGB profile. */
export function srgbProfile(): Promise<Uint8Array> {
  profile ??= sharp({ create: { width: 1, height: 1, channels: 3, background: "black" } })
    .withIccProfile("srgb")
    .png()
    .toBuffer()
    .then(async (png) => (await sharp(png).metadata()).icc!);
  return profile;
}
