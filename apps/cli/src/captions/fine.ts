/** The command `captions fine`: from the whole degradation of each image to the five texts that SRCLIP learns from. */
import { dirname, isAbsolute, relative, resolve } from "node:path";
import { fineLabels, parseCaption } from "@deplsr/degradation";
import type { Context } from "../commands/command.ts";
import { CAPTIONED_COLUMNS, resolveBeside } from "../data/captioned.ts";
import { listSkipped, MOST_NAMED, type SkippedItem } from "../data/skipped.ts";
import { badRows, readTable, writeTable } from "../data/tsv.ts";
import { oneLine, UserError } from "../errors.ts";
import { refuseExisting } from "../flags.ts";
import { counted } from "../output.ts";
import { checkTableName } from "./run.ts";

/** The flags of `deplsr captions fine`. */
export interface FineFlags {
  readonly in: string;
  readonly out: string;
  readonly overwrite: boolean;
}

/** The columns that are read: path, caption, the whole degradation. */
const READ = CAPTIONED_COLUMNS.slice(0, 3);
/** Those that follow from the last of them. */
const FINE = CAPTIONED_COLUMNS.slice(3);

/** Does what `deplsr captions fine` asks for. */
export async function runFine({ in: from, out, overwrite }: FineFlags, { output }: Context): Promise<void> {
  checkTableName(out);
  await refuseExisting("captions fine", out, overwrite);
  const { columns, rows, lines, bad } = await readTable(from, READ);
  const skipped = badRows(from, bad);
  const expanded = rows.flatMap((row, i) => {
    try {
      if (row.filepath === "") throw new Error("filepath is empty");
      return [{ ...row, filepath: movedPath(row.filepath!, from, out), ...fineTexts(row.title2!) }];
    } catch (error) {
      skipped.push({ name: `${from} line ${lines[i]}`, reason: oneLine(error) });
      return [];
    }
  });
  if (expanded.length === 0) {
    const [first] = skipped as readonly SkippedItem[];
    const why = first === undefined ? "it has no rows" : `${first.name}: ${first.reason}`;
    throw new UserError(`captions fine: ${from} has no row that can be used: ${why}`);
  }
  const others = columns.filter((column) => !CAPTIONED_COLUMNS.some((own) => own === column));
  await writeTable(out, [...CAPTIONED_COLUMNS, ...others], expanded);
  const all = counted(expanded.length + skipped.length, "row");
  listSkipped(output, skipped, `${skipped.length} of ${all}`, MOST_NAMED);
  output.line(`${counted(expanded.length, "image")} in ${out}`);
  output.result({ tsv: out, images: expanded.length, skipped });
  if (skipped.length > 0) process.exitCode = 1;
}

/** A path of one table as another names the same file. */
function movedPath(path: string, from: string, to: string): string {
  return isAbsolute(path) ? path : relative(resolve(dirname(to)), resolve(resolveBeside(from, path)));
}

/** The cells of the five columns. @throws Error of one line that says what of the text is not understood */
function fineTexts(degradation: string): Record<string, string> {
  let labels: readonly string[];
  try {
    labels = fineLabels(parseCaption(degradation));
  } catch (error) {
    throw new Error(`title2: ${oneLine(error)}`);
  }
  return Object.fromEntries(FINE.map((column, i) => [column, labels[i]!]));
}
