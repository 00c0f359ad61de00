/** A progress bar with rate and time left. */

/** The part of a Node stream that is needed here. */
export interface ProgressStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

const BAR_CELLS = 20;
/** A terminal is redrawn at most this often. */
const REDRAW_MS = 80;
/** Elsewhere a plain line is printed at most this often. */
const PLAIN_MS = 10_000;

/** One bar; made by `Output.progress`. */
export class Progress {
  readonly #stream: ProgressStream;
  readonly #name: string;
  #total: number;
  readonly #unit: string;
  readonly #started = performance.now();
  #first = 0;
  #done = 0;
  #note = "";
  #drawn = 0;
  #visible = false;
  #finished = false;

  constructor(stream: ProgressStream, options: { name: string; total: number; unit: string }) {
    this.#stream = stream;
    this.#name = options.name;
    this.#total = options.total;
    this.#unit = options.unit;
    this.#drawn = stream.isTTY ? 0 : this.#started;
  }

  /** The count at which this run begins (a resumed one), so that rate and time left are those of this run. */
  startAt(done: number): this {
    this.#first = done;
    this.#done = done;
    return this;
  }

  /** Sets how many units there are, where that was not known at the start. */
  retarget(total: number): this {
    this.#total = total;
    return this;
  }

  /** Tells how far the work is, which may be in the middle of a unit. @param note a few words behind the bar, `loss 0.123` */
  update(done: number, note = this.#note): void {
    const same = done === this.#done && note === this.#note;
    this.#done = done;
    this.#note = note;
    if (this.#finished || same) return;
    const now = performance.now();
    const interval = this.#stream.isTTY ? REDRAW_MS : PLAIN_MS;
    if (now - this.#drawn < interval && done < this.#total) return;
    this.#drawn = now;
    if (this.#stream.isTTY) this.show();
    else this.#stream.write(`${this.text()}\n`);
  }

  /** Ends the bar; what was drawn stays. */
  finish(): void {
    if (this.#finished) return;
    if (this.#visible) {
      this.show();
      this.#stream.write("\n");
    }
    this.#finished = true;
    this.#visible = false;
  }

  /** Takes the bar away so that another line can be printed. */
  hide(): void {
    if (this.#visible) this.#stream.write("\r\u001b[2K");
  }

  /** Draws the bar on a terminal; does nothing elsewhere. */
  show(): void {
    if (!this.#stream.isTTY || this.#finished) return;
    this.#visible = true;
    this.#stream.write(`\r\u001b[2K${this.text().slice(0, (this.#stream.columns ?? 120) - 1)}`);
  }

  /** The line without control characters: `train srclip [####    ] 12/40  3.1 step/s  9.0 s left  loss 1.2`. */
  text(): string {
    const fraction = this.#total > 0 ? Math.min(1, this.#done / this.#total) : 1;
    const cells = Math.round(fraction * BAR_CELLS);
    const bar = "#".repeat(cells).padEnd(BAR_CELLS);
    const seconds = (performance.now() - this.#started) / 1000;
    const rate = seconds > 0 ? (this.#done - this.#first) / seconds : 0;
    const left = rate > 0 ? `${duration((this.#total - this.#done) / rate)} left` : "";
    const parts = [
      `${this.#name} [${bar}] ${Math.floor(this.#done)}/${this.#total}`,
      rateText(rate, this.#unit),
      left,
      this.#note,
    ];
    return parts.filter((part) => part !== "").join("  ");
  }
}

function rateText(rate: number, unit: string): string {
  if (rate <= 0) return "";
  return rate >= 0.1 ? `${rate.toFixed(rate < 10 ? 1 : 0)} ${unit}/s` : `${duration(1 / rate)} per ${unit}`;
}

/** A span of time for people: `0.8 s`, `42 s`, `3 min 05 s`, `2 h 10 min`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
}

/** Bytes for people: `1.2 GiB`, `34.3 MiB`, `12 KiB`. */
export function byteSize(bytes: number): string {
  const [unit, size] = bytes >= 2 ** 29 ? ["GiB", 2 ** 30] : bytes >= 2 ** 19 ? ["MiB", 2 ** 20] : ["KiB", 2 ** 10];
  return `${Number((bytes / Number(size)).toFixed(1))} ${unit}`;
}
