/** What files in a folder are. */
import { open } from "node:fs/promises";
import { extname } from "node:path";
import { recognise } from "@deplsr/photo";

/** Endings of files that need more than their beginning to be told from a TIFF. */
const RAW_EXTENSIONS = [
  ".3fr",
  ".arw",
  ".dcr",
  ".dng",
  ".erf",
  ".iiq",
  ".kdc",
  ".mef",
  ".mos",
  ".nef",
  ".nrw",
  ".pef",
  ".sr2",
  ".srf",
  ".srw",
];

/** What a file in a folder is, by its beginning, for a list of what was left out; null where that is not known. */
export async function kindOfFile(path: string): Promise<string | null> {
  const extension = extname(path).toLowerCase();
  try {
    const file = await open(path, "r");
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(16384), 0, 16384, 0);
      const content = recognise(buffer.subarray(0, bytesRead));
      if (content?.photo === "tiff" && RAW_EXTENSIONS.includes(extension))
        return `camera raw (${extension.slice(1).toUpperCase()})`;
      if (content === null || (content.photo === null && content.what === "text")) return null;
      return content.photo === null ? content.what : `${content.photo.toUpperCase()} under another name`;
    } finally {
      await file.close();
    }
  } catch {
    return null;
  }
}
