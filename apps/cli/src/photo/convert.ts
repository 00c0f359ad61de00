/** The colours that a file means, as sRGB. */
import {
  ADOBE_RGB,
  DISPLAY_P3,
  holdsTables,
  isAdobeRgb,
  isSrgb,
  type PhotoMetadata,
  type Profile,
  parseProfile,
  toSrgb,
} from "@deplsr/photo";
import type { Metadata } from "sharp";
import type { Samples } from "./samples.ts";

/** What becomes of colours. */
export interface ColourOptions {
  /** `srgb`, the default, converts to sRGB; `own` keeps the values of an RGB file that has a profile and says which one in `Photo.profile`. */
  readonly colours?: "srgb" | "own";
}

/** Converts to sRGB what the decoder has not; returns the profile of values that stay as they are. */
export async function convertColours(
  data: Samples["values"],
  grey: boolean,
  { space, depth }: Metadata,
  { icc, exif }: PhotoMetadata,
  { colours = "srgb" }: ColourOptions,
  name: string,
  notes: string[],
): Promise<Uint8Array | null> {
  if (!["b-w", "grey16", "srgb", "rgb", "rgb16", "scrgb"].includes(space)) return null;
  const profile = icc === null ? null : parseProfile(icc.bytes);
  if (icc !== null && profile === null) {
    if (!grey && holdsTables(icc.bytes)) {
      // The decoder has used them, and taken deep pictures to Display P3.
      if (depth === "ushort") await toSrgb(data, DISPLAY_P3);
      return null;
    }
    notes.push(
      `the colour profile of ${name} (${icc.description || "without a name"}) does not fit its pixels: they are taken for sRGB`,
    );
    return null;
  }
  const meant: Profile | null = profile ?? (!grey && exif !== null && isAdobeRgb(exif) ? ADOBE_RGB : null);
  if (meant === null) return null;
  if ((meant.space === "GRAY") !== grey) {
    // A grey file may carry the profile of the RGB space whose diagonal it is.
    if (grey) await toSrgb(data, { space: "GRAY", curves: [meant.curves[1]!], toXyz: null });
    return null;
  }
  if (colours === "own" && icc !== null && !grey && !isSrgb(meant)) return icc.bytes;
  await toSrgb(data, meant);
  return null;
}
