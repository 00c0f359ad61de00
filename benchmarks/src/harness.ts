/**
 * Measures rows: every contender in a process of its own, its result checked before anything is timed, then rounds in which each takes
 * its turn, so that whatever else the machine does falls on all of them.
 */
import type { DeviceOptions } from "@deplsr/tensor";
import type { Checkout } from "./checkout.ts";
import type { About, ContenderName } from "./contender.ts";
import { driverEnvironment, sharesAdapter, withoutShaderCache } from "./driver.ts";
import { ContenderProcess } from "./process.ts";
import { type Roof, roofs } from "./roof.ts";
import { cpuRoofs } from "./roof-cpu.ts";
import type { Row } from "./row.ts";
import { type Batch, largestError, median, rotate } from "./statistics.ts";
import type { StepProfile } from "./training-step.ts";
import { NO_ROW } from "./wire.ts";

/** What is measured: a row with everything warm, or its first run in a fresh process. */
export interface Job {
  readonly row: Row;
  readonly cold: boolean;
}

/** A contender's part of a row: times of one run in ms, one a round; or why there are none; or that it cannot do the work at all, and why if that is known. */
export type Cell =
  | {
      readonly kind: "times";
      readonly rounds: readonly number[];
      /** Of the result, as a fraction of the largest number of the reference. */
      readonly error: number;
      /** What else there is to say, such as a quicker way that gave a wrong result. */
      readonly notes: readonly string[];
      readonly batch?: Batch;
      /** Of a training step of ours. */
      readonly profile?: StepProfile;
    }
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "cannot"; readonly reason?: string };

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
  /** ms for one answer; default 5 minutes, since the first runs of some peers take half a minute on a quiet software adapter. */
  readonly timeout?: number;
  /** What a contender's process runs; default child.ts. */
  readonly script?: URL;
  /** The checkout that is measured as `before`. */
  readonly against?: Checkout;
}

/** ms that a sample of a warm row should take: many launches to a wait, so that waiting does not count. */
const SAMPLE = 200;
const TIMEOUT = 300_000;
/** ms that a contender's rounds of a row may take; beyond, two have to do. */
const BUDGET = 20_000;
/** A cold round of a peer may take half a minute. */
const MAX_COLD_ROUNDS = 3;
/** Why `before` cannot do a row that came after it. */
export const NO_SUCH_ROW = "no such row";

/** Opens contenders as they are needed, measures, and ends their processes. */
export class Harness {
  readonly #options: HarnessOptions;
  readonly #open = new Map<ContenderName, ContenderProcess>();
  readonly #about = new Map<ContenderName, About>();
  /** Contenders that do not start at all. */
  readonly #broken = new Map<ContenderName, StartError>();
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
    const expected = await job.row.reference();
    const cells = job.cold ? await this.#cold(job.row, names, expected) : await this.#warm(job.row, names, expected);
    return { job, cells };
  }

  /** Measures what the adapter reaches. A ceiling that cannot be measured is missing, and said. */
  async ceilings(): Promise<Ceilings> {
    const found: Partial<Record<keyof typeof roofs, number>> = {};
    const { backend, kind } = this.#about.get("ours")!;
    const [who, those] = backend === "cpu" ? (["ours", cpuRoofs] as const) : (["raw", roofs] as const);
    for (const [key, { row, amount }] of Object.entries(those) as [keyof typeof roofs, Roof][]) {
      const { cells } = await this.measure({ row, cold: false }, [who]);
      const cell = cells.get(who);
      if (cell?.kind === "times") found[key] = (amount(kind !== "hardware") / median(cell.rounds)) * 1000;
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
    const running: { name: ContenderName; way: Way; batch: Batch; rounds: number[] }[] = [];
    for (const name of names) {
      this.#options.say(`${row.name}: ${name} warms up`);
      try {
        const way = await this.#firstRight(row, expected, () => this.#get(name), false);
        if ("kind" in way) cells.set(name, way);
        else
          running.push({ name, way, batch: (await way.process.ask("warm up", { target: SAMPLE })).batch, rounds: [] });
      } catch (error) {
        cells.set(name, lost(error));
      }
    }
    for (let round = 0; round < this.#options.rounds; round++) {
      this.#options.say(`${row.name}: round ${round + 1} of ${this.#options.rounds}`);
      for (const { name, way, batch, rounds } of rotate(running, round)) {
        const spent = batch.count * batch.repeats * rounds.reduce((sum, ms) => sum + ms, 0);
        if (cells.has(name) || (rounds.length >= 2 && spent > BUDGET)) continue;
        try {
          rounds.push((await way.process.ask("run", { batch })).ms);
        } catch (error) {
          cells.set(name, lost(error));
        }
      }
    }
    for (const { name, way, batch, rounds } of running) {
      if (!cells.has(name)) {
        const { error, notes } = way;
        const cell = { kind: "times", rounds, error, notes, batch } as const;
        const looked = row.profiled && name === "ours";
        const whole = async (): Promise<Cell> => ({ ...cell, profile: (await way.process.ask("profile", {})).profile });
        cells.set(name, looked ? await whole().catch(lost) : cell);
      }
      if (!way.process.ended) await way.process.ask("dispose", {}).catch(() => way.process.stop());
    }
    return cells;
  }

  async #cold(row: Row, names: readonly ContenderName[], expected: Float64Array): Promise<Map<ContenderName, Cell>> {
    const cells = new Map<ContenderName, Cell>();
    const times = new Map<ContenderName, { rounds: number[]; way: Way }>();
    const count = Math.min(this.#options.rounds, MAX_COLD_ROUNDS);
    for (let round = 0; round < count; round++) {
      for (const name of rotate(names, round)) {
        if (cells.has(name)) continue;
        this.#options.say(`${row.name}, first run: ${name}, round ${round + 1} of ${count}`);
        let fresh: ContenderProcess | undefined;
        const start = async (): Promise<ContenderProcess> => {
          fresh?.stop();
          fresh = this.#start(name, withoutShaderCache);
          await this.#opened(fresh);
          return fresh;
        };
        try {
          const way = await this.#firstRight(row, expected, start, true);
          if ("kind" in way) cells.set(name, way);
          else times.set(name, { way, rounds: [...(times.get(name)?.rounds ?? []), way.ms] });
        } catch (error) {
          cells.set(name, lost(error));
        } finally {
          fresh?.stop();
        }
      }
    }
    for (const [name, { rounds, way }] of times) {
      if (!cells.has(name)) cells.set(name, { kind: "times", rounds, error: way.error, notes: way.notes });
    }
    return cells;
  }

  /** Prepares the first of a contender's ways whose result is right, or says that it has none at all. @throws Error when all are wrong. */
  async #firstRight(
    row: Row,
    expected: Float64Array,
    open: () => Promise<ContenderProcess>,
    firstRun: boolean,
  ): Promise<Way | Extract<Cell, { kind: "cannot" }>> {
    const notes: string[] = [];
    for (let way = 0; ; way++) {
      const process = await open();
      try {
        const { can, reason, ms } = await process.ask("prepare", { row: row.name, way, firstRun });
        if (reason) return { kind: "cannot", reason };
        if (!can) break;
        const { result } = await process.ask("result", {});
        const error = largestError(result, expected);
        if (error <= row.tolerance) return { process, ms, error, notes };
        notes.push(`wrong result, ${describeError(error)}`);
      } catch (error) {
        // What it refuses may work another way; a process that has ended is a failure.
        if (process.ended) throw error;
        if (process.name === "before" && messageOf(error).startsWith(NO_ROW))
          return { kind: "cannot", reason: NO_SUCH_ROW };
        notes.push(messageOf(error));
      }
    }
    if (notes.length > 0) throw new Error(notes.join("; "));
    return { kind: "cannot" };
  }

  /** The contender's process; one that has ended is started again. */
  async #get(name: ContenderName): Promise<ContenderProcess> {
    const before = this.#open.get(name);
    if (before && !before.ended) return before;
    const broken = this.#broken.get(name);
    if (broken) throw broken;
    const contender = this.#start(name, {});
    await this.#opened(contender);
    this.#open.set(name, contender);
    return contender;
  }

  /** @throws StartError when it does not open, or not on the adapter of ours; its process is gone then. */
  async #opened(contender: ContenderProcess): Promise<void> {
    try {
      const { about, libraries } = await contender.ask("open", {});
      const { adapter, backend } = about;
      if (backend === "webgpu" && !sharesAdapter(this.#about.get("ours")?.kind, adapter, libraries)) {
        throw new Error(`it runs on ${adapter}, not on the adapter of ours`);
      }
      const { against } = this.#options;
      const earlier = contender.name === "before" && against;
      if (earlier && backend !== this.#about.get("ours")?.backend)
        throw new Error(`it runs on ${adapter} (${backend})`);
      this.#about.set(contender.name, earlier ? { ...about, version: `commit ${against.commit}` } : about);
    } catch (error) {
      contender.stop();
      const broken = new StartError(messageOf(error));
      this.#broken.set(contender.name, broken);
      throw broken;
    }
  }

  #start(name: ContenderName, extra: Readonly<Record<string, string>>): ContenderProcess {
    // Ours finds its driver by itself, and did so before.
    const environment = name === "ours" || name === "before" ? extra : { ...this.#environment, ...extra };
    const { device, timeout = TIMEOUT, against } = this.#options;
    const script = name === "before" && against ? against.script : this.#options.script;
    return new ContenderProcess(name, { device, environment, timeout, ...(script && { script }) });
  }
}

/** A contender does not start at all. */
class StartError extends Error {}

/** A contender that is ready to do a row's work, and does it right. */
interface Way {
  readonly process: ContenderProcess;
  /** Time of the preparation, a first run included where it was asked for. */
  readonly ms: number;
  readonly error: number;
  /** What was wrong with quicker ways. */
  readonly notes: readonly string[];
}

function describeError(error: number): string {
  return Number.isFinite(error) ? `off by ${error.toExponential(1)} of the largest number` : "NaN or of another shape";
}

function lost(error: unknown): Cell {
  const reason = messageOf(error);
  return error instanceof StartError
    ? { kind: "cannot", reason: `does not start: ${reason}` }
    : { kind: "failed", reason };
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n", 1)[0] ?? "";
}
