/** What colours of a file mean, and how they become sRGB. */
import { isAdobeRgb } from "./exif.ts";
import type { PhotoMetadata } from "./photo.ts";
import {
  ADOBE_RGB,
  holdsTables,
  isSrgb,
  lightToSrgb,
  lightToSrgbLight,
  type Profile,
  parseProfile,
} from "./profile.ts";

/** What a file says of its colours. */
export interface ColourSource {
  readonly metadata: Pick<PhotoMetadata, "icc" | "exif">;
  /** Whether it has none. */
  readonly grey: boolean;
  /** Leaves the values of an RGB file as they are where it has a profile of its own. Default false. */
  readonly keep?: boolean;
}

/** What became of them. */
export interface SettledColours {
  /** The profile that the values keep; null where they are sRGB, or are taken for it. */
  readonly profile: Uint8Array | null;
  /** Why nothing was converted: the profile has tables, which decoders apply, or does not fit the pixels; null where there is nothing to tell. */
  readonly problem: "tables" | "unfit" | null;
}

/**
 * Makes sRGB of values where they are, by the file's profile or what its EXIF says, unless the profile is kept.
 *
 * @param data interleaved, 8 or 16 bits: 3 channels, or 1 or 3 equal ones of a grey file
 */
export async function settleColours(
  data: Uint8Array | Uint16Array,
  { metadata: { icc, exif }, grey, keep = false }: ColourSource,
): Promise<SettledColours> {
  const settled: SettledColours = { profile: null, problem: null };
  const profile = icc && parseProfile(icc.bytes);
  if (icc && !profile) return { ...settled, problem: !grey && holdsTables(icc.bytes) ? "tables" : "unfit" };
  const meant = profile ?? (!grey && exif && isAdobeRgb(exif) ? ADOBE_RGB : null);
  if (!meant) return settled;
  if ((meant.space === "GRAY") !== grey) {
    // A grey file may carry the profile of the RGB space whose diagonal it is.
    if (grey) await toSrgb(data, { space: "GRAY", curves: [meant.curves[1]!], toXyz: null });
    return settled;
  }
  if (keep && icc && !grey && !isSrgb(meant)) return { ...settled, profile: icc.bytes };
  await toSrgb(data, meant);
  return settled;
}

/** Steps of the table from light to sRGB, between which it is linear: less than 1e-7 off. */
const STEPS = 65536;

/** Pixels between two breaths, so that a signal is heard. */
const PIECE = 2 ** 20;

/**
 * Converts pixels to sRGB where they are: relative colorimetric, what sRGB cannot show is cut off channel by channel.
 *
 * @param data interleaved, 3 channels for an RGB profile, any for a grey one; 8 or 16 bits
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
    await new Promise((resolve) => setTimeout(resolve));
  }
}
