/** Writing a photo a few rows at a time, for results that are larger than memory. */
import { type FileHandle, open } from "node:fs/promises";
import {
  type AttachmentOptions,
  attachmentsOf,
  pngEncoder,
  type RowEncoder,
  type RowFormat,
  type Sink,
} from "@deplsr/photo";
import { UserError } from "../errors.ts";
import { explain, openAtomic } from "../files.ts";
import { fastDeflation } from "./deflate.ts";
import { outputFormat } from "./output-format.ts";
import { srgbProfile } from "./srgb-profile.ts";
import { tiffEncoder } from "./tiff-encoder.ts";

/** What is known before the first row. */
export interface RowsDescription extends RowFormat, AttachmentOptions {}

/** A file that is being written; it stands under its name after `close` and not at all after `abort`. */
export interface PhotoWriter {
  /** Appends whole rows, interleaved, in any number; the array may be used again afterwards. @throws WriteError when the disk is full */
  writeRows(rows: Uint8Array | Uint16Array): Promise<void>;
  /** Ends the file and gives it its name. @throws Error when rows are missing */
  close(): Promise<void>;
  /** Removes what was written; does nothing after `close`. */
  abort(): Promise<void>;
}

/** The formats that are written row by row. */
export type StreamedFormat = "png" | "tiff";

/** Whether a format is written row by row, so that its pixels are never in memory all at once. */
export function isStreamed(format: string): format is StreamedFormat {
  return format === "png" || format === "tiff";
}

/** Starts a picture in a sink. */
export async function startRows(format: StreamedFormat, description: RowsDescription, sink: Sink): Promise<RowEncoder> {
  const attachments = attachmentsOf(description);
  if (format === "png") return pngEncoder(description, attachments, sink, { deflate: fastDeflation });
  // A TIFF without a profile says nothing; PNG has a word for sRGB.
  const profile = attachments.profile ?? (description.channels < 3 ? null : await srgbProfile());
  return tiffEncoder(description, { ...attachments, profile }, sink);
}

/** Opens the temporary file for writing; replaced in tests by one whose disk is full. */
export type OpenRows = (path: string) => Promise<Pick<FileHandle, "write" | "writeFile" | "sync" | "close">>;

const openNew: OpenRows = (path) => open(path, "wx");

/**
 * Opens a photo for writing, PNG or TIFF by its name. A few MB are in memory, whatever the photo's size. After an error the file is gone.
 *
 * @throws UserError for another ending; WriteError as `writeFileAtomic`
 */
export async function openPhotoWriter(
  path: string,
  description: RowsDescription,
  openFile: OpenRows = openNew,
): Promise<PhotoWriter> {
  const format = outputFormat(path);
  if (!isStreamed(format))
    throw new UserError(`image: ${path} cannot be written row by row: its name must end in .png or .tif`);
  const atomic = await openAtomic(path, openFile).catch((error) => {
    throw explain(error, path);
  });
  const sink: Sink = {
    write: (part) => atomic.file.writeFile(part),
    async writeAt(part, position) {
      await atomic.file.write(part, 0, part.length, position);
    },
  };
  const attempt = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      await atomic.discard();
      throw explain(error, path);
    }
  };
  const encoder = await attempt(() => startRows(format, description, sink));
  return {
    writeRows: (rows) => attempt(() => encoder.writeRows(rows)),
    close: () =>
      attempt(async () => {
        await encoder.end();
        await atomic.commit();
      }),
    abort: () => atomic.discard(),
  };
}
