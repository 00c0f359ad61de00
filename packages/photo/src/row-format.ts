/** What a file holds row by row, and what stands beside it. */

/** Values of a picture as they arrive. */
export interface RowFormat {
  readonly width: number;
  readonly height: number;
  /** Bits a value. */
  readonly depth: 8 | 16;
  /** Grey, grey and opacity, RGB, RGB and opacity; interleaved. */
  readonly channels: 1 | 2 | 3 | 4;
}

/** What is written beside the pixels, brought up to date; null for nothing. */
export interface Attachments {
  /** The ICC profile of the values; null for sRGB. */
  readonly profile: Uint8Array | null;
  readonly exif: Uint8Array | null;
  readonly xmp: string | null;
  /** Pixels per inch. */
  readonly density: number | null;
}
