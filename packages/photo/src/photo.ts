/** A photograph in memory: its pixels, and what its file says beside them. */

/** The formats that are read. */
export type PhotoFormat = "jpeg" | "png" | "webp" | "tiff" | "avif" | "gif";

/** What a file holds beside pixels; null where it has none. */
export interface PhotoMetadata {
  /** The EXIF block: a TIFF structure from its byte order on, without JPEG's `Exif\0\0` before it. */
  readonly exif: Uint8Array | null;
  /** The XMP packet. */
  readonly xmp: string | null;
  /** The file's ICC profile, also where the pixels were converted to sRGB. */
  readonly icc: { readonly bytes: Uint8Array; readonly description: string } | null;
  /** Pixels per inch. */
  readonly density: number | null;
}

/** No metadata at all. */
export const NO_METADATA: PhotoMetadata = { exif: null, xmp: null, icc: null, density: null };

/** The pixels of a picture that stands upright. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  /** Bits a value: 8 go with arrays of bytes, 16 with `Uint16Array`. */
  readonly depth: 8 | 16;
  /** `height * width * 3` values, row by row, red first; grey is repeated. */
  readonly data: Uint8Array | Uint16Array;
  /** Opacity, a value a pixel, colours are not multiplied by it; null where everything is opaque. */
  readonly alpha: Uint8Array | Uint16Array | null;
  /** The ICC profile that says what the values mean; null for sRGB. */
  readonly profile: Uint8Array | null;
}

/** A photograph as it was read. */
export interface Photo extends Pixels {
  /** Whether the file was grey. */
  readonly grey: boolean;
  readonly metadata: PhotoMetadata;
  readonly format: PhotoFormat;
  /** What somebody who relies on the result should know, a line each: further frames, a missing end, guessed ranges. */
  readonly notes: readonly string[];
}
