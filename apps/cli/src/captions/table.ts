/** A list of photographs with their captions: a TSV that has a photograph's row as soon as its caption is known. */
import { appendFileSync, statSync, truncateSync } from "node:fs";
import { resolve } from "node:path";
import { namedBeside, resolveBeside } from "../data/captioned.ts";
import { formatRow, readTable, writeTable } from "../data/tsv.ts";
import { UserError } from "../errors.ts";
import { exists, explain } from "../files.ts";

const COLUMNS = ["filepath", "title"] as const;

/** Such a list. Photographs are told apart by where they are, whatever a row calls them. */
export class CaptionTable {
  readonly file: string;
  /** By the absolute path; the empty text where nobody has said yet what a photograph shows. */
  readonly #titles: Map<string, string>;

  private constructor(file: string, titles: Map<string, string>) {
    this.file = file;
    this.#titles = titles;
  }

  /**
   * Reads what an earlier run has written; nothing is there where there was none, or all begins anew.
   *
   * @throws UserError when the file holds anything that would be lost: other columns, rows that cannot be read
   */
  static async open(file: string, overwrite: boolean): Promise<CaptionTable> {
    const titles = new Map<string, string>();
    if (overwrite || !(await exists(file))) return new CaptionTable(file, titles);
    const { columns, rows, bad } = await readTable(file, COLUMNS);
    const anew = "choose another --out, or --overwrite to begin anew";
    if (columns.length > COLUMNS.length) {
      const others = columns.filter((column) => !COLUMNS.some((own) => own === column));
      throw new UserError(`captions: ${file} holds more than captions (${others.join(", ")}): ${anew}`);
    }
    if (bad.length > 0) {
      const { line, reason } = bad[0]!;
      throw new UserError(`captions: ${file} line ${line}: ${reason}: mend it, or ${anew}`);
    }
    for (const { filepath, title } of rows) {
      const path = resolve(resolveBeside(file, filepath!));
      titles.set(path, title! || (titles.get(path) ?? ""));
    }
    return new CaptionTable(file, titles);
  }

  /** What a photograph shows; undefined where that is not known. */
  titleOf(path: string): string | undefined {
    return this.#titles.get(resolve(path)) || undefined;
  }

  /** Adds captions and begins the file, to which others are then appended. @throws WriteError when it cannot be written */
  async begin(known: Iterable<readonly [path: string, title: string]>): Promise<void> {
    for (const [path, title] of known) this.#titles.set(resolve(path), title);
    await this.#write();
  }

  /** Adds a caption, in the file too. @throws WriteError when the disk is full; the file then ends before it */
  add(path: string, title: string): void {
    this.#titles.set(resolve(path), title);
    let size: number | undefined;
    try {
      ({ size } = statSync(this.file));
      appendFileSync(this.file, formatRow([namedBeside(this.file, path), title]));
    } catch (error) {
      if (size !== undefined) this.#cut(size);
      throw explain(error, this.file);
    }
  }

  /** Takes back the half of a row. */
  #cut(size: number): void {
    try {
      truncateSync(this.file, size);
    } catch {
      // What was in the way of the row is in the way of this too, and is what is told.
    }
  }

  /** Writes the file anew: these photographs in their order, with or without a caption, then those of earlier runs. */
  async finish(paths: readonly string[]): Promise<void> {
    const earlier = new Map(this.#titles);
    this.#titles.clear();
    for (const path of paths) this.#titles.set(resolve(path), earlier.get(resolve(path)) ?? "");
    for (const [path, title] of earlier) if (!this.#titles.has(path)) this.#titles.set(path, title);
    await this.#write();
  }

  async #write(): Promise<void> {
    const rows = [...this.#titles].map(([path, title]) => ({ filepath: namedBeside(this.file, path), title }));
    await writeTable(this.file, COLUMNS, rows);
  }
}
