/** What comes out: lines of a table, and JSON for other programs and for later. */
import type { About, ContenderName } from "./contender.ts";
import type { Ceilings, Cell, Measured } from "./harness.ts";
import { jobName } from "./jobs.ts";
import type { Machine } from "./machine.ts";
import { median, ratio, spread } from "./statistics.ts";

/** One row of the report. Times are ms of one run. */
export interface ReportRow {
  readonly name: string;
  readonly shape: string;
  readonly dtype: "f32";
  /** Median; `null` where ours failed. */
  readonly ours: number | null;
  /** Medians of the peers that compute on what ours computes on. */
  readonly peers: Readonly<Record<string, number>>;
  /** Fastest of `peers` divided by ours; `null` where either is missing. */
  readonly ratio: number | null;
  /** Medians of peers that compute on something else; they do not count for `ratio`. */
  readonly others?: Readonly<Record<string, number>>;
  /** Why cells are missing. */
  readonly failures?: Readonly<Record<string, string>>;
  /** What was wrong with a quicker way of a contender that has a slower one. */
  readonly notes?: Readonly<Record<string, string>>;
  /** Ours, where the row counts them: GFLOP/s or GB/s, and the fraction of what the adapter reached in this run. */
  readonly gflops?: number;
  readonly gbs?: number;
  readonly ofRoof?: number;
  /** Every round of every cell. */
  readonly rounds: Readonly<Record<string, readonly number[]>>;
  /** Largest error of each result, as a fraction of the largest number of the f64 reference. */
  readonly errors: Readonly<Record<string, number>>;
}

/** A whole run. */
export interface Report {
  readonly adapter: string;
  readonly backend: string;
  readonly kind: string;
  readonly machine: Machine;
  /** Of the contenders that were opened. */
  readonly versions: Readonly<Record<string, string>>;
  /** What the adapter reached: GB/s of a copy (read and written), GFLOP/s of multiply-adds. */
  readonly roof: { readonly gbs?: number; readonly gflops?: number };
  readonly rows: readonly ReportRow[];
}

/** What a report is made of. */
export interface ReportInput {
  readonly about: ReadonlyMap<ContenderName, About>;
  readonly machine: Machine;
  readonly ceilings: Ceilings;
  readonly measured: readonly Measured[];
  /** Peers whose times count for the ratio. */
  readonly comparable: readonly ContenderName[];
}

/** Puts a run's numbers in order. */
export function makeReport({ about, machine, ceilings, measured, comparable }: ReportInput): Report {
  const ours = about.get("ours");
  return {
    adapter: ours?.adapter ?? "unknown",
    backend: ours?.backend ?? "unknown",
    kind: ours?.kind ?? "unknown",
    machine,
    versions: Object.fromEntries(Array.from(about, ([name, { version }]) => [name, version])),
    roof: {
      ...(ceilings.bytes !== undefined && { gbs: round(ceilings.bytes / 1e9) }),
      ...(ceilings.flops !== undefined && { gflops: round(ceilings.flops / 1e9) }),
    },
    rows: measured.map((each) => reportRow(each, ceilings, comparable)),
  };
}

function reportRow({ job, cells }: Measured, ceilings: Ceilings, comparable: readonly ContenderName[]): ReportRow {
  const { row, cold } = job;
  const timed = Array.from(cells).flatMap(([name, cell]) => (cell.kind === "times" ? [{ name, ...cell }] : []));
  const medians = (include: (name: ContenderName) => boolean): Record<string, number> =>
    Object.fromEntries(
      timed.filter(({ name }) => include(name)).map(({ name, rounds }) => [name, round(median(rounds))]),
    );
  const own = timed.find(({ name }) => name === "ours");
  const ours = own ? round(median(own.rounds)) : null;
  const peers = medians((name) => comparable.includes(name));
  const others = medians((name) => name !== "ours" && !comparable.includes(name));
  const failures = Array.from(cells).flatMap(([name, cell]) => (cell.kind === "failed" ? [[name, cell.reason]] : []));
  const notes = timed.flatMap((cell) => (cell.notes.length > 0 ? [[cell.name, cell.notes.join("; ")]] : []));
  const faster = ratio(ours, peers);
  return {
    name: jobName(job),
    shape: row.shape,
    dtype: "f32",
    ours,
    peers,
    ratio: faster === null ? null : round(faster),
    ...(Object.keys(others).length > 0 && { others }),
    ...(failures.length > 0 && { failures: Object.fromEntries(failures) as Record<string, string> }),
    ...(notes.length > 0 && { notes: Object.fromEntries(notes) as Record<string, string> }),
    ...(own && !cold && rates(row, median(own.rounds), ceilings)),
    rounds: Object.fromEntries(timed.map(({ name, rounds }) => [name, rounds.map(round)])),
    errors: Object.fromEntries(timed.map(({ name, error }) => [name, round(error)])),
  };
}

function rates(
  { flops, bytes }: Measured["job"]["row"],
  ms: number,
  ceilings: Ceilings,
): Pick<ReportRow, "gflops" | "gbs" | "ofRoof"> {
  const of = (rate: number, roof: number | undefined): { ofRoof?: number } =>
    roof === undefined ? {} : { ofRoof: round(rate / roof) };
  if (flops !== undefined) return { gflops: round(flops / ms / 1e6), ...of((flops / ms) * 1000, ceilings.flops) };
  if (bytes !== undefined) return { gbs: round(bytes / ms / 1e6), ...of((bytes / ms) * 1000, ceilings.bytes) };
  return {};
}

/** Four digits: more than any time is worth. */
function round(value: number): number {
  return Number(value.toPrecision(4));
}

/** The table for a terminal: a line for each row, what it was measured on above it, the reasons of what failed below. */
export function formatTable(report: Report, measured: readonly Measured[], names: readonly ContenderName[]): string[] {
  const head = ["ms", ...names, "ratio", "rate", "of roof"];
  const lines = report.rows.map((row, index) => {
    const cells = measured[index]!.cells;
    const rate =
      row.gflops !== undefined ? `${short(row.gflops)} GFLOP/s` : row.gbs !== undefined ? `${short(row.gbs)} GB/s` : "";
    const roof = row.ofRoof === undefined ? "" : `${Math.round(row.ofRoof * 100)}%`;
    return [
      row.name,
      ...names.map((name) => formatCell(cells.get(name))),
      row.ratio === null ? "" : `${row.ratio.toFixed(2)}x`,
      rate,
      roof,
    ];
  });
  const { machine, roof } = report;
  const ceilings = [
    roof.gbs !== undefined ? `copy ${short(roof.gbs)} GB/s` : "",
    roof.gflops !== undefined ? `multiply-add ${short(roof.gflops)} GFLOP/s` : "",
  ].filter(Boolean);
  return [
    `${report.backend} on ${report.adapter} (${report.kind}); f32; commit ${machine.commit}; node ${machine.node}; ${machine.cpu}, ${machine.cores} cores, load ${machine.load}`,
    ...(ceilings.length > 0 ? [`roof: ${ceilings.join(", ")}`] : []),
    "",
    ...align([head, ...lines]),
    ...report.rows.flatMap(({ name, failures = {}, notes = {} }) => [
      ...Object.entries(failures).map(([who, why]) => `${name}: ${who} fails: ${why}`),
      ...Object.entries(notes).map(([who, what]) => `${name}: ${who}, its quicker way: ${what}`),
    ]),
  ];
}

function formatCell(cell: Cell | undefined): string {
  if (!cell || cell.kind === "cannot") return "-";
  if (cell.kind === "failed") return "fails";
  const middle = short(median(cell.rounds));
  return cell.rounds.length > 1 ? `${middle} ±${Math.round(spread(cell.rounds) * 100)}%` : middle;
}

/** Three digits, without an exponent. */
function short(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value >= 1 ? value.toFixed(2) : value.toFixed(3);
}

/** Columns as wide as their widest cell, the first to the left, numbers to the right. */
function align(table: readonly (readonly string[])[]): string[] {
  const widths = table[0]!.map((_, column) => Math.max(...table.map((line) => line[column]!.length)));
  return table.map((line) =>
    line
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join("  ")
      .trimEnd(),
  );
}
