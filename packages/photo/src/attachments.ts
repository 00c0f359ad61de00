/** A photo's metadata, brought up to date for what was made of it. */
import { updateExif } from "./exif.ts";
import { NO_METADATA, type PhotoMetadata } from "./photo.ts";
import { type Provenance, withProvenance } from "./provenance.ts";
import type { Attachments } from "./row-format.ts";

/** What is to be written beside the pixels. */
export interface AttachmentOptions {
  readonly width: number;
  readonly height: number;
  /** The ICC profile of the pixels; null for sRGB. */
  readonly profile: Uint8Array | null;
  /** Of the photo that this one was made of. */
  readonly metadata?: PhotoMetadata;
  /** Leaves EXIF, XMP and what made the picture out; a colour profile stays, colours would be wrong without it. */
  readonly strip?: boolean;
  /** What made the picture. */
  readonly provenance?: Provenance;
}

/** The metadata of an upright picture of this size: orientation 1, the new size, what made it. */
export function attachmentsOf(options: AttachmentOptions): Attachments {
  const { width, height, profile, metadata = NO_METADATA, strip = false, provenance } = options;
  if (strip) return { profile, exif: null, xmp: null, density: metadata.density };
  const xmp = metadata.xmp && updateXmp(metadata.xmp, width, height);
  return {
    profile,
    exif: metadata.exif && updateExif(metadata.exif, { width, height, srgb: profile === null }),
    xmp: provenance ? withProvenance(xmp, provenance) : xmp,
    density: metadata.density,
  };
}

/** XMP repeats what EXIF says of the picture's orientation and size, as attributes or as elements. */
function updateXmp(xmp: string, width: number, height: number): string {
  const values = {
    "tiff:Orientation": 1,
    "tiff:ImageWidth": width,
    "tiff:ImageLength": height,
    "exif:PixelXDimension": width,
    "exif:PixelYDimension": height,
  };
  return Object.entries(values).reduce(
    (text, [name, value]) =>
      text
        .replace(new RegExp(`(\\b${name}\\s*=\\s*["'])\\d+(["'])`, "g"), `$1${value}$2`)
        .replace(new RegExp(`(<${name}>)\\s*\\d+\\s*(</${name}>)`, "g"), `$1${value}$2`),
    xmp,
  );
}
