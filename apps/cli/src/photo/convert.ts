/** The colours that a file means, as sRGB. */
import { setImmediate } from "node:timers/promises";
import type { Metadata } from "sharp";
import { isAdobeRgb } from "./exif.ts";
import type { PhotoMetadata } from "./photo.ts";
import {
  ADOBE_RGB,
  DISPLAY_P3,
  holdsTables,
  isSrgb,
  lightToSrgb,
  lightToSrgbLight,
  type Profile,
  parseProfile,
} from "./profile.ts";
import type { Samples } from "./samples.ts";

/** Steps of the table from light to sRGB, between which it is linear: less than 1e-7 off. */
const STEPS = 65536;

/** Pixels between two breaths, so that a signal is heard. */
const PIECE = 2 ** 20;

/**
 * Converts pixels to sRGB where they are: relative colorimetric, what sRGB cannot show is cut off channel by channel.
 *
 * @param data interleaved, 3 channels for an RGB profile, 1 for a grey one; 8 or 16 bits
 */
export async function toSrgb(data: Uint8Array | Uint16Array, profile: Profile): Promise<void> {
  if (isSrgb(profile)) return;
  const white = data instanceof Uint8Array ? 255 : 65535;
  const curves = profile.curves.map((curve) => Float64Array.from({ length: white + 1 }, (_, i) => curve(i / white)));
  const encoded = Float64Array.from({ length: STEPS + 2 }, (_, i) => lightToSrgb(Math.min(1, i / STEPS)) * white);
  const encode = (light: number): number => {
    const place = Math.min(1, Math.max(0, light)) * STEPS;
    const i = Math.floor(place);
    return encoded[i]! + (encoded[i + 1]! - encoded[i]!) * (place - i) + 0.5;
  };
  const { toXyz } = profile;
  if (toXyz === null) {
    const table = curves[0]!.map((light) => Math.floor(encode(light)));
    for (let i = 0; i < data.length; i++) data[i] = table[data[i]!]!;
    return;
  }
  const [red, green, blue] = [curves[0]!, curves[1]!, curves[2]!];
  const m = lightToSrgbLight(toXyz);
  for (let start = 0; start < data.length; start += PIECE * 3) {
    const end = Math.min(data.length, start + PIECE * 3);
    for (let i = start; i < end; i += 3) {
      const [r, g, b] = [red[data[i]!]!, green[data[i + 1]!]!, blue[data[i + 2]!]!];
      data[i] = encode(m[0]! * r + m[1]! * g + m[2]! * b);
      data[i + 1] = encode(m[3]! * r + m[4]! * g + m[5]! * b);
      data[i + 2] = encode(m[6]! * r + m[7]! * g + m[8]! * b);
    }
    await setImmediate();
  }
}

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
