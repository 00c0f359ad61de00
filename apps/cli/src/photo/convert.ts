/** The colours that a file means, as sRGB. */
import { DISPLAY_P3, type PhotoMetadata, settleColours, toSrgb } from "@deplsr/photo";
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
  metadata: PhotoMetadata,
  { colours = "srgb" }: ColourOptions,
  name: string,
  notes: string[],
): Promise<Uint8Array | null> {
  if (!["b-w", "grey16", "srgb", "rgb", "rgb16", "scrgb"].includes(space)) return null;
  const { profile, problem } = await settleColours(data, { metadata, grey, keep: colours === "own" });
  // The decoder has used the tables, and taken deep pictures to Display P3.
  if (problem === "tables" && depth === "ushort") await toSrgb(data, DISPLAY_P3);
  if (problem === "unfit") {
    notes.push(
      `the colour profile of ${name} (${metadata.icc?.description || "without a name"}) does not fit its pixels: they are taken for sRGB`,
    );
  }
  return profile;
}
