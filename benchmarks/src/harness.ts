/**
 * Measures rows: every contender in a process of its own, its result checked before anything is timed, then rounds in which each takes
 * its turn, so that whatever else the machine does falls on all of them.
 */
import type { DeviceOptions } from "@deplsr/tensor";
import type { About, ContenderName } from "./contender.ts";
import { driverEnvironment, withoutShaderCache } from "./driver.ts";
import { ContenderProcess } from "./process.ts";
import { type Roof, roofs } from "./roof.ts";
import type { Row } from "./row.ts";
import { type Batch, largestError, median, rotate } from "./statistics.ts";
import type { Answers } from "./wire.ts";

/** What is measured: a row with everything warm, or its first run in a fresh process. */
export interface Job {
  readonly row: Row;
  readonly cold: boolean;
}

/** A contender's part of a row: times of one run in ms, one a round; or why there are none; or that it cannot do the work at all. */
export type Cell =
  | { readonly kind: "times"; readonly rounds: readonly number[]; readonly error: number; readonly batch?: Batch }
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "cannot" };

/** A row and its cells. */
export interface Measured {
  readonly job: Job;
  readonly cells: ReadonlyMap<ContenderName, Cell>;
}

/** What this adapter reaches, in bytes or operations per second. */
export type Ceilings = Readonly<Partial<Record<keyof typeof roofs, number>>>;

/** How to measure. */
export interface HarnessOptions {
  readonly device: DeviceOptions;
  readonly rounds: number;
  /** Told what is going on, a line at a time. */
  readonly say: (line: string) => void;
}

/** ms that a sample of a warm row should take: many launches to a wait, so that waiting does not count. */
const SAMPLE = 200;
/** ms for one answer; the slowest first runs of peers take half a minute on a quiet software adapter. */
const TIMEOUT = 300_000;
/** A cold round of a peer may take half a minute. */
const MAX_COLD_ROUNDS = 3;

/** Opens contenders as they are needed, measures, and ends their processes. */
export class Harness {
  readonly #options: HarnessOptions;
  readonly #open = new Map<ContenderName, ContenderProcess>();
  readonly #about = new Map<ContenderName, About>();
  /** Contenders that do not start at all, and why. */
  readonly #broken = new Map<ContenderName, string>();
  #environment: Readonly<Record<string, string>> = {};

  constructor(options: HarnessOptions) {
    this.#options = options;
  }

  /** Opens our engine, whose adapter is then everybody's. @throws Error when there is none. */
  async openOurs(): Promise<About> {
    const ours = this.#start("ours", {});
    const { about, libraries } = await ours.ask("open", {});
    this.#open.set("ours", ours);
    this.#about.set("ours", about);
    this.#environment = driverEnvironment(about.kind, libraries);
    return about;
  }

  /** What every contender that was opened says about itself. */
  get about(): ReadonlyMap<ContenderName, About> {
    return this.#about;
  }

  /** Measures one row for these contenders. */
  async measure(job: Job, names: readonly ContenderName[]): Promise<Measured> {
    const expected = job.row.reference();
    const cells = job.cold ? await this.#cold(job.row, names, expected) : await this.#warm(job.row, names, expected);
    return { job, cells };
  }

  /** Measures what the adapter reaches. A ceiling that cannot be measured is missing, and said. */
  async ceilings(): Promise<Ceilings> {
    const found: Partial<Record<keyof typeof roofs, number>> = {};
    for (const [key, { row, amount }] of Object.entries(roofs) as [keyof typeof roofs, Roof][]) {
      const { cells } = await this.measure({ row, cold: false }, ["raw"]);
      const cell = cells.get("raw");
      const software = this.#about.get("ours")?.kind !== "hardware";
      if (cell?.kind === "times") found[key] = (amount(software) / median(cell.rounds)) * 1000;
      else this.#options.say(`no ceiling for ${row.name}: ${cell?.kind === "failed" ? cell.reason : "not measured"}`);
    }
    this.#open.get("raw")?.stop();
    this.#open.delete("raw");
    return found;
  }

  /** Ends all processes. */
  close(): void {
    for (const contender of this.#open.values()) contender.stop();
    this.#open.clear();
  }

  async #warm(row: Row, names: readonly ContenderName[], expected: Float64Array): Promise<Map<ContenderName, Cell>> {
    const cells = new Map<ContenderName, Cell>();
    const running: { name: ContenderName; process: ContenderProcess; batch: Batch; error: number; rounds: number[] }[] =
      [];
    for (const name of names) {
      this.#options.say(`${row.name}: ${name} warms up`);
      try {
        const contender = await this.#get(name);
        const { can } = await contender.ask("prepare", { row: row.name, firstRun: false });
        if (!can) {
          cells.set(name, { kind: "cannot" });
          continue;
        }
        const error = await checked(contender, row, expected);
        const { batch } = await contender.ask("warm up", { target: SAMPLE });
        running.push({ name, process: contender, batch, error, rounds: [] });
      } catch (error) {
        cells.set(name, failed(error));
      }
    }
    for (let round = 0; round < this.#options.rounds; round++) {
      this.#options.say(`${row.name}: round ${round + 1} of ${this.#options.rounds}`);
      for (const { name, process, batch, rounds } of rotate(running, round)) {
        if (cells.has(name)) continue;
        try {
          rounds.push((await process.ask("run", { batch })).ms);
        } catch (error) {
          cells.set(name, failed(error));
        }
      }
    }
    for (const { name, process, batch, error, rounds } of running) {
      if (!cells.has(name)) cells.set(name, { kind: "times", rounds, error, batch });
      if (!process.ended) await process.ask("dispose", {}).catch(() => process.stop());
    }
    return cells;
  }

  async #cold(row: Row, names: readonly ContenderName[], expected: Float64Array): Promise<Map<ContenderName, Cell>> {
    const cells = new Map<ContenderName, Cell>();
    const times = new Map<ContenderName, { rounds: number[]; error: number }>();
    const count = Math.min(this.#options.rounds, MAX_COLD_ROUNDS);
    for (let round = 0; round < count; round++) {
      for (const name of rotate(names, round)) {
        if (cells.has(name)) continue;
        this.#options.say(`${row.name}, first run: ${name}, round ${round + 1} of ${count}`);
        const contender = this.#start(name, withoutShaderCache);
        try {
          await this.#opened(contender);
          const { can, ms } = await contender.ask("prepare", { row: row.name, firstRun: true });
          if (!can) {
            cells.set(name, { kind: "cannot" });
            continue;
          }
          const before = times.get(name);
          const error = before?.error ?? (await checked(contender, row, expected));
          times.set(name, { rounds: [...(before?.rounds ?? []), ms], error });
        } catch (error) {
          cells.set(name, failed(error));
        } finally {
          contender.stop();
        }
      }
    }
    for (const [name, { rounds, error }] of times) {
      if (!cells.has(name)) cells.set(name, { kind: "times", rounds, error });
    }
    return cells;
  }

  /** The contender's process; one that has ended is started again. */
  async #get(name: ContenderName): Promise<ContenderProcess> {
    const before = this.#open.get(name);
    if (before && !before.ended) return before;
    const broken = this.#broken.get(name);
    if (broken) throw new Error(broken);
    const contender = this.#start(name, {});
    try {
      await this.#opened(contender);
    } catch (error) {
      contender.stop();
      this.#broken.set(name, messageOf(error));
      throw error;
    }
    this.#open.set(name, contender);
    return contender;
  }

  async #opened(contender: ContenderProcess): Promise<Answers["open"]> {
    const answer = await contender.ask("open", {});
    this.#about.set(contender.name, answer.about);
    return answer;
  }

  #start(name: ContenderName, extra: Readonly<Record<string, string>>): ContenderProcess {
    // Ours finds its driver by itself.
    const environment = name === "ours" ? extra : { ...this.#environment, ...extra };
    return new ContenderProcess(name, { device: this.#options.device, environment, timeout: TIMEOUT });
  }
}

/** The error of the contender's result. @throws Error when it is over the row's tolerance. */
async function checked(contender: ContenderProcess, row: Row, expected: Float64Array): Promise<number> {
  const { result } = await contender.ask("result", {});
  const error = largestError(result, expected);
  if (!(error <= row.tolerance)) {
    const wrong = Number.isFinite(error)
      ? `off by ${error.toExponential(1)} of the largest`
      : "NaN, or of another shape";
    throw new Error(`wrong result: ${wrong} (tolerance ${row.tolerance})`);
  }
  return error;
}

function failed(error: unknown): Cell {
  return { kind: "failed", reason: messageOf(error) };
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n", 1)[0] ?? "";
}
