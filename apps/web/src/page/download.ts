/** From a result to a file of the person who made it. */
import type { ResultFormat } from "../client/api.ts";
import type { Item } from "./item.ts";
import { resultName, type Settings } from "./settings.ts";
import { type ZipEntry, zip } from "./zip.ts";

/** A result's file. @throws Error with one line where the format does not hold it */
export async function encodeResult(item: Item, { format, quality }: Settings): Promise<ZipEntry> {
  const { result, settings } = item;
  if (result === null || settings === null) throw new Error(`${item.name} is not done yet`);
  const refused = result.refused[format];
  if (refused !== null) throw new Error(`${item.name}: ${refused}`);
  const blob = await result.encode(format, format === "png" ? {} : { quality: quality[format as "jpeg" | "webp"] });
  return { name: resultName(item.name, settings, format satisfies ResultFormat), blob };
}

/** All results in one archive. */
export async function encodeAll(items: readonly Item[], settings: Settings): Promise<ZipEntry> {
  const entries: ZipEntry[] = [];
  for (const item of items) entries.push(await encodeResult(item, settings));
  return { name: "deplsr.zip", blob: await zip(entries) };
}

/** Hands a file to the browser's downloads. */
export function saveFile({ name, blob }: ZipEntry): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser reads it after this turn; nothing says when it has.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
