import { readdirSync } from "node:fs";
import type { Row } from "./row.ts";

const FOLDERS = ["ops", "models"];

/** The rows of the table: what every `ops/*.bench.ts` and `models/*.bench.ts` exports by default, in the order of the file names. */
export async function loadRows(): Promise<Row[]> {
  const rows: Row[] = [];
  for (const folder of FOLDERS) {
    const url = new URL(`./${folder}/`, import.meta.url);
    const files = readdirSync(url).filter((file) => file.endsWith(".bench.ts"));
    for (const file of files.sort()) {
      const module = (await import(new URL(file, url).href)) as { readonly default: readonly Row[] };
      rows.push(...module.default);
    }
  }
  return rows;
}
