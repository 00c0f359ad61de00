import { readFile } from "node:fs/promises";
import { oneLine, systemCode, UserError } from "../errors.ts";

/** The text of a UTF-8 file, without a byte order mark. @param kind of the file, which begins messages @throws UserError when it cannot be read */
export async function readText(file: string, kind: string): Promise<string> {
  try {
    return (await readFile(file, "utf8")).replace(/^\uFEFF/, "");
  } catch (error) {
    if (systemCode(error) === "ENOENT") throw new UserError(`${kind}: ${file} does not exist: check the path`);
    throw new UserError(`${kind}: ${file} cannot be read: ${oneLine(error)}`);
  }
}
