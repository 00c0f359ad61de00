/** What comes out: lines of a table, and JSON for other programs and for later. */
import { align, percent, round, short } from "./columns.ts";
import type { About, ContenderName } from "./contender.ts";
import { type Ceilings, type Cell, type Measured, NO_SUCH_ROW } from "./harness.ts";
import { jobName } from "./jobs.ts";
import type { Machine } from "./machine.ts";
import type { Target } from "./row.ts";
import { median, ratio, spread } from "./statistics.ts";
import { formatSteps, type StepReport, stepReport } from "./step-report.ts";

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
  /** Medians of native code on the same processor, and each divided by ours. */
  readonly native: Readonly<Record<string, number>>;
  readonly nativeRatio: Readonly<Record<string, number>>;
  /** What we want `ratio` and `nativeRatio` to be at least, where this run can tell: on the CPU with one thread. */
  readonly target?: Target;
  /** Median of the other checkout where one was measured, and that divided by ours: above 1 ours is faster now. `null` where it has no time. */
  readonly before?: number | null;
  readonly beforeRatio?: number | null;
  /** Medians of peers that compute on something else; they do not count for either ratio. */
  readonly others?: Readonly<Record<string, number>>;
  /** Why contenders have no way to do it, where that is known. */
  readonly cannot?: Readonly<Record<string, string>>;
  /** Why others have no time. */
  readonly failures?: Readonly<Record<string, string>>;
  /** What was wrong with a quicker way of a contender that has a slower one. */
  readonly notes?: Readonly<Record<string, string>>;
  /** Ours, where the row counts them: GFLOP/s or GB/s, and the fraction of what the adapter reached in this run. */
  readonly gflops?: number;
  readonly gbs?: number;
  readonly ofRoof?: number;
  /** Ours, where the row is a training step that is looked into. */
  readonly step?: StepReport;
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
  /** Of everyone who computes on the CPU; `null` where ours does not. */
  readonly threads: number | null;
  readonly machine: Machine;
  /** Commit of the other checkout, where one was measured. */
  readonly against?: string;
  /** Of the contenders that were opened. */
  readonly versions: Readonly<Record<string, string>>;
  /** What a reader of their columns has to know. */
  readonly remarks?: Readonly<Record<string, string>>;
  /** What the adapter reached: GB/s of a copy (read and written), GFLOP/s of multiply-adds. */
  readonly roof: { readonly gbs?: number; readonly gflops?: number };
  readonly rows: readonly ReportRow[];
}

/** What a report is made of. */
export interface ReportInput {
  readonly about: ReadonlyMap<ContenderName, About>;
  readonly machine: Machine;
  readonly against?: string;
  readonly threads: number | null;
  readonly ceilings: Ceilings;
  readonly measured: readonly Measured[];
  /** Those whose times count for the ratio, and native code. */
  readonly peers: readonly ContenderName[];
  readonly native: readonly ContenderName[];
}

/** Puts a run's numbers in order. */
export function makeReport(input: ReportInput): Report {
  const { about, machine, against, threads, ceilings, measured } = input;
  const ours = about.get("ours");
  const remarks = Array.from(about).flatMap(([name, { remark }]) => (remark ? [[name, remark] as const] : []));
  return {
    adapter: ours?.adapter ?? "unknown",
    backend: ours?.backend ?? "unknown",
    kind: ours?.kind ?? "unknown",
    threads,
    machine,
    ...(against !== undefined && { against }),
    versions: Object.fromEntries(Array.from(about, ([name, { version }]) => [name, version])),
    ...(remarks.length > 0 && { remarks: Object.fromEntries(remarks) }),
    roof: {
      ...(ceilings.bytes !== undefined && { gbs: round(ceilings.bytes / 1e9) }),
      ...(ceilings.flops !== undefined && { gflops: round(ceilings.flops / 1e9) }),
    },
    rows: measured.map((each) => reportRow(each, input)),
  };
}

function reportRow({ job, cells }: Measured, { threads, ceilings, against, ...names }: ReportInput): ReportRow {
  const { row, cold } = job;
  const timed = Array.from(cells).flatMap(([name, cell]) => (cell.kind === "times" ? [{ name, ...cell }] : []));
  const medians = (include: (name: ContenderName) => boolean): Record<string, number> =>
    Object.fromEntries(
      timed.filter(({ name }) => include(name)).map(({ name, rounds }) => [name, round(median(rounds))]),
    );
  const reasons = (kind: "failed" | "cannot"): [string, string][] =>
    Array.from(cells).flatMap(([name, cell]): [string, string][] =>
      cell.kind === kind && cell.reason !== undefined ? [[name, cell.reason]] : [],
    );
  const own = timed.find(({ name }) => name === "ours");
  const ours = own ? round(median(own.rounds)) : null;
  const peers = medians((name) => names.peers.includes(name));
  const native = medians((name) => names.native.includes(name));
  const { before = null } = medians((name) => name === "before");
  const others = medians(
    (name) => name !== "ours" && name !== "before" && !names.peers.includes(name) && !names.native.includes(name),
  );
  const [cannot, failures] = [reasons("cannot"), reasons("failed")];
  const notes = timed.flatMap((cell) => (cell.notes.length > 0 ? [[cell.name, cell.notes.join("; ")]] : []));
  const faster = ratio(ours, peers);
  return {
    name: jobName(job),
    shape: row.shape,
    dtype: "f32",
    ours,
    peers,
    ratio: faster === null ? null : round(faster),
    native,
    nativeRatio: Object.fromEntries(
      Object.entries(ours === null ? {} : native).map(([name, time]) => [name, round(time / ours!)]),
    ),
    ...(row.target && threads === 1 && !cold && { target: row.target }),
    ...(against !== undefined && {
      before,
      beforeRatio: ours === null || before === null ? null : round(before / ours),
    }),
    ...(Object.keys(others).length > 0 && { others }),
    ...(cannot.length > 0 && { cannot: Object.fromEntries(cannot) }),
    ...(failures.length > 0 && { failures: Object.fromEntries(failures) }),
    ...(notes.length > 0 && { notes: Object.fromEntries(notes) as Record<string, string> }),
    ...(own && !cold && rates(row, median(own.rounds), ceilings)),
    ...(own?.profile && { step: stepReport(median(own.rounds), own.profile) }),
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

/** A column's head, and what it says of a row. */
type Column = readonly [head: string, cell: (row: ReportRow, cells: Measured["cells"]) => string];

/**
 * The table for a terminal: a line for each row, what it was measured on above it, why cells are missing below. Native code comes after
 * the ratio, each time with the part of its speed that ours has; behind a ratio stands what we want it to be, and whether it is.
 */
export function formatTable(
  report: Report,
  measured: readonly Measured[],
  names: readonly ContenderName[],
  native: readonly ContenderName[],
): string[] {
  const times = (name: ContenderName): Column => [name, (_, cells) => formatCell(cells.get(name))];
  const part = (name: ContenderName): Column => [
    `of ${name}`,
    ({ nativeRatio, target }) =>
      formatRatio(nativeRatio[name] ?? null, name === "torch" ? target?.torch : undefined, percent),
  ];
  const change: Column = [
    "before / ours",
    ({ beforeRatio = null }) => formatRatio(beforeRatio, undefined, (value) => `${value.toFixed(2)}x`),
  ];
  const columns: readonly Column[] = [
    ["ms", (row) => row.name],
    ...names
      .filter((name) => !native.includes(name))
      .flatMap((name) => (name === "before" ? [times(name), change] : [times(name)])),
    ["ratio", ({ ratio, target }) => formatRatio(ratio, target?.ratio, (value) => `${value.toFixed(2)}x`)],
    ...native.filter((name) => names.includes(name)).flatMap((name) => [times(name), part(name)]),
    ["rate", formatRate],
    ["of roof", ({ ofRoof }) => (ofRoof === undefined ? "" : percent(ofRoof))],
  ];
  const lines = columns.map(([head, cell]) => [
    head,
    ...report.rows.map((row, index) => cell(row, measured[index]!.cells)),
  ]);
  const filled = lines.filter((column) => column.slice(1).some((cell) => cell !== ""));
  const { machine, roof, threads } = report;
  const ceilings = [
    roof.gbs !== undefined ? `copy ${short(roof.gbs)} GB/s` : "",
    roof.gflops !== undefined ? `multiply-add ${short(roof.gflops)} GFLOP/s` : "",
  ].filter(Boolean);
  const against = report.against === undefined ? "" : `, before: ${report.against}`;
  const where =
    threads === null ? report.kind : threads === 1 ? "everyone on 1 thread" : `everyone on ${threads} threads`;
  return [
    `${report.backend} on ${report.adapter} (${where}); f32; commit ${machine.commit}${against}; node ${machine.node}; ${machine.cpu}, ${machine.cores} cores, load ${machine.load}`,
    ...(ceilings.length > 0 ? [`roof: ${ceilings.join(", ")}`] : []),
    "",
    ...align(filled),
    ...formatSteps(report.rows),
    ...Object.entries(report.remarks ?? {}).map(([who, what]) => `${who}: ${what}`),
    ...explain(report.rows),
  ];
}

/** Why cells are missing or slow: a line for each reason, with whom and which rows it is about. */
function explain(rows: readonly ReportRow[]): string[] {
  const found = rows.flatMap(({ name, cannot = {}, failures = {}, notes = {} }) => [
    ...Object.entries(cannot).map(([who, why]) => ({ name, who, what: why })),
    ...Object.entries(failures).map(([who, why]) => ({ name, who, what: `fails: ${why}` })),
    ...Object.entries(notes).map(([who, why]) => ({ name, who, what: `its quicker way: ${why}` })),
  ]);
  const reasons = group(found, ({ who, what }) => `${who} ${what}`).map((same) => ({
    ...same[0]!,
    where: same.length === rows.length && rows.length > 1 ? "every row" : same.map(({ name }) => name).join(", "),
  }));
  return group(reasons, ({ what, where }) => `${what} ${where}`).map((same) => {
    const [{ what, where }] = same as [(typeof same)[number]];
    return `${same.map(({ who }) => who).join(", ")}: ${what} (${where})`;
  });
}

/** Items of one key together, in the order of the first ones. */
function group<T>(items: readonly T[], key: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return [...groups.values()];
}

function formatRatio(value: number | null, wanted: number | undefined, format: (value: number) => string): string {
  if (value === null) return "";
  return wanted === undefined ? format(value) : `${format(value)} ${value >= wanted ? "≥" : "<"} ${format(wanted)}`;
}

function formatRate({ gflops, gbs }: ReportRow): string {
  if (gflops !== undefined) return `${short(gflops)} GFLOP/s`;
  return gbs !== undefined ? `${short(gbs)} GB/s` : "";
}

function formatCell(cell: Cell | undefined): string {
  if (cell?.kind === "cannot" && cell.reason === NO_SUCH_ROW) return NO_SUCH_ROW;
  if (!cell || cell.kind === "cannot") return "-";
  if (cell.kind === "failed") return "fails";
  const middle = short(median(cell.rounds));
  return cell.rounds.length > 1 ? `${middle} ±${Math.round(spread(cell.rounds) * 100)}%` : middle;
}
