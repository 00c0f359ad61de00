import { readFile } from "node:fs/promises";
import { binaryKind } from "@deplsr/photo";
import { oneLine, systemCode, UserError } from "../errors.ts";

/**
 * The text of a UTF-8 file, without a byte order mark.
 *
 * @param kind of the file, which begins messages
 * @throws UserError when it cannot be read, or holds a photo or another thing that is no text
 */
export async function readText(file: string, kind: string): Promise<string> {
  const bytes = await readBytes(file, kind);
  const binary = binaryKind(bytes);
  if (binary !== null) throw new UserError(`${kind}: ${file} is ${binary}, and text is expected: check the path`);
  return bytes.toString("utf8").replace(/^\uFEFF/, "");
}

async function readBytes(file: string, kind: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    if (systemCode(error) === "ENOENT") throw new UserError(`${kind}: ${file} does not exist: check the path`);
    if (systemCode(error) === "EISDIR") throw new UserError(`${kind}: ${file} is a folder: give a file`);
    throw new UserError(`${kind}: ${file} cannot be read: ${oneLine(error)}`);
  }
}
