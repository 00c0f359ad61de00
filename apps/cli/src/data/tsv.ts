/**
 * Tab-separated tables as DePLSR's data sets use them (spec: `filepath`, `title`, `title2` ... `title7`): a header line, one row per image,
 * a cell quoted with `"` when it holds a tab, a quote or a line break (RFC 4180's rule, which is also what pandas writes).
 */
import { nearest, UserError } from "../errors.ts";
import { writeFileAtomic } from "../files.ts";
import { counted } from "../output.ts";
import type { SkippedItem } from "./skipped.ts";
import { readText } from "./text.ts";

/** A row that could not be used, with the line on which it starts (from 1) and why. */
export interface BadRow {
  readonly line: number;
  readonly reason: string;
}

/** A table that was read: `rows` are the good ones, `bad` the ones that were left out. */
export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly Readonly<Record<string, string>>[];
  /** The line on which each of the rows starts, from 1. */
  readonly lines: readonly number[];
  readonly bad: readonly BadRow[];
}

/**
 * Parses a table. CRLF line ends, a byte order mark, empty lines and quoted cells are understood; emoji and other characters pass unchanged.
 *
 * @param text the file's contents
 * @param file its name, for messages
 * @param required columns that must be there
 * @returns rows by column name; a row with another number of cells than the header is in `bad`
 * @throws UserError when the table is empty, a column is missing, or a quote is never closed
 */
export function parseTable(text: string, file: string, required: readonly string[] = []): Table {
  const [header, ...body] = splitCells(text.startsWith("\uFEFF") ? text.slice(1) : text, file);
  if (header === undefined)
    throw new UserError(`tsv: ${file} is empty: a header line with ${quoteAll(required)} is expected`);
  const columns = header.cells.map((cell) => cell.trim());
  requireColumns(columns, required, file);
  const rows: Record<string, string>[] = [];
  const lines: number[] = [];
  const bad: BadRow[] = [];
  for (const { cells, line } of body) {
    if (cells.length === columns.length) {
      rows.push(Object.fromEntries(columns.map((column, i) => [column, cells[i]!])));
      lines.push(line);
    } else {
      const hint = cells.length > columns.length ? " (a tab inside a caption needs quotes around the cell)" : "";
      bad.push({ line, reason: `${counted(cells.length, "cell")} where the header has ${columns.length}${hint}` });
    }
  }
  return { columns, rows, lines, bad };
}

/** Reads a table from a file. @throws UserError as `parseTable`, and when the file cannot be read */
export async function readTable(file: string, required: readonly string[] = []): Promise<Table> {
  return parseTable(await readText(file, "tsv"), file, required);
}

/** Rows that were left out of a table, as a data set lists them. */
export function badRows(file: string, bad: readonly BadRow[]): SkippedItem[] {
  return bad.map(({ line, reason }) => ({ name: `${file} line ${line}`, reason }));
}

/** The table as text: header, rows, `\n` at every line's end; what `parseTable` reads back unchanged. */
export function formatTable(columns: readonly string[], rows: readonly Readonly<Record<string, string>>[]): string {
  return [columns, ...rows.map((row) => columns.map((column) => row[column] ?? ""))].map(formatRow).join("");
}

/** One row of a table as text. */
export function formatRow(cells: readonly string[]): string {
  return `${cells.map(quoteCell).join("\t")}\n`;
}

/** Writes a table whole or not at all. */
export async function writeTable(
  file: string,
  columns: readonly string[],
  rows: readonly Readonly<Record<string, string>>[],
): Promise<void> {
  await writeFileAtomic(file, formatTable(columns, rows));
}

function requireColumns(columns: readonly string[], required: readonly string[], file: string): void {
  const missing = required.filter((column) => !columns.includes(column));
  if (missing.length === 0) return;
  const commas = columns.length === 1 && columns[0]!.includes(",");
  const similar = nearest(
    missing[0]!,
    columns.filter((column) => !required.includes(column)),
  );
  const hint = commas
    ? "cells are separated by tabs here, not commas"
    : similar !== undefined
      ? `is "${similar}" meant?`
      : "add it to the header and to every row";
  throw new UserError(
    `tsv: ${file} has no column ${quoteAll(missing)} (it has ${quoteAll(columns)}; ${quoteAll(required)} are needed): ${hint}`,
  );
}

function quoteAll(names: readonly string[]): string {
  return names.map((name) => JSON.stringify(name)).join(", ");
}

function quoteCell(cell: string): string {
  return /[\t"\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

/** The cells of every line that is not empty. A quote counts only at a cell's start, so that `5" pipe` stays as it is. */
function splitCells(text: string, file: string): { cells: string[]; line: number }[] {
  const result: { cells: string[]; line: number }[] = [];
  let at = 0;
  let line = 1;
  while (at < text.length) {
    const start = line;
    const cells: string[] = [];
    let more = true;
    while (more) {
      let cell: string;
      if (text[at] === '"') {
        const end = closingQuote(text, at + 1);
        if (end < 0) throw new UserError(`tsv: ${file} line ${start}: a quote is opened and never closed: close it`);
        cell = text.slice(at + 1, end).replaceAll('""', '"');
        line += cell.split("\n").length - 1;
        at = end + 1;
        const rest = plainCell(text, at);
        cell += rest;
        at += rest.length;
      } else {
        cell = plainCell(text, at);
        at += cell.length;
      }
      cells.push(cell);
      more = text[at] === "\t";
      if (more) at += 1;
    }
    if (text[at] === "\r") at += 1;
    if (text[at] === "\n") at += 1;
    line += 1;
    if (cells.length > 1 || cells[0] !== "") result.push({ cells, line: start });
  }
  return result;
}

function plainCell(text: string, from: number): string {
  let end = from;
  while (end < text.length && text[end] !== "\t" && text[end] !== "\n" && text[end] !== "\r") end += 1;
  return text.slice(from, end);
}

function closingQuote(text: string, from: number): number {
  for (let i = text.indexOf('"', from); i >= 0; i = text.indexOf('"', i + 2)) {
    if (text[i + 1] !== '"') return i;
  }
  return -1;
}
