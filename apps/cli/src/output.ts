/**
 * Everything the command prints. People read stdout; with `--json` stdout holds exactly one JSON object, with `--jsonl` one a line, and
 * people's lines move to stderr.
 */
import { Progress, type ProgressStream } from "./progress.ts";

/** Where text goes; `process.stdout` and `process.stderr` in the command, buffers in tests. */
export interface Streams {
  readonly stdout: ProgressStream;
  readonly stderr: ProgressStream;
}

/** What is on stdout: lines for people, one JSON object, or one a line. */
export type OutputForm = "text" | "json" | "jsonl";

const SILENT: ProgressStream = { write: () => true };

/** One that says nothing, for processes that do as another one does, which says it. */
export function silentOutput(): Output {
  return new Output("text", { stdout: SILENT, stderr: SILENT });
}

/** Prints lines, warnings, progress bars and the one result of a command. */
export class Output {
  readonly form: OutputForm;
  #linesToStdout: boolean;
  readonly #streams: Streams;
  readonly #speaker: string | null;
  #bar: Progress | undefined;
  #hear: ((warning: string) => void) | undefined;
  /** Warnings that nobody has heard yet. */
  #unheard: string[] = [];

  /**
   * @param speaker who speaks, `rank 1 (node7)`, where this is not the first of several processes: it tells what goes wrong, and no more
   */
  constructor(form: OutputForm, streams: Streams = process, speaker: string | null = null) {
    this.form = form;
    this.#linesToStdout = form === "text";
    this.#streams = streams;
    this.#speaker = speaker;
  }

  /** One that prints nothing: for what the first of several processes tells for all. */
  static silent(): Output {
    return new Output("text", { stdout: SILENT, stderr: SILENT });
  }

  /** Keeps stdout free for what a command writes there itself. */
  leaveStdout(): void {
    this.#linesToStdout = false;
  }

  /** One line for a person. */
  line(text = ""): void {
    if (this.#speaker !== null) return;
    this.#print(this.#linesToStdout ? this.#streams.stdout : this.#streams.stderr, text);
  }

  /** One line about something that went wrong without ending the run. */
  warn(text: string): void {
    this.#print(this.#streams.stderr, `${this.#prefix}warning: ${text}`);
    if (this.#hear) this.#hear(text);
    else this.#unheard.push(text);
  }

  /** The same, for the log of what comes next: the one that has heard so far hears no more. */
  laterWarning(text: string): void {
    this.#hear = undefined;
    this.warn(text);
  }

  /** Gives `hear` the warnings so far, and from now on each one that is printed: for the log of a run, whose file is not there from the start. */
  hearWarnings(hear: (warning: string) => void): void {
    for (const warning of this.#unheard) hear(warning);
    this.#unheard = [];
    this.#hear = hear;
  }

  /** The command's result: one JSON object on stdout with `--json`, nothing otherwise. Call it once, last. */
  result(value: Readonly<Record<string, unknown>>): void {
    if (this.form === "json" && this.#speaker === null) this.#streams.stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** One item of the result: a line of JSON on stdout with `--jsonl`, nothing otherwise. */
  item(value: Readonly<Record<string, unknown>>): void {
    if (this.form === "jsonl" && this.#speaker === null) this.#streams.stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** The end of a command that failed: `{ "error" }` with `--json`, a line on stderr otherwise. */
  failure(message: string): void {
    if (this.form !== "text") this.#streams.stdout.write(`${JSON.stringify({ error: `${this.#prefix}${message}` })}\n`);
    else this.#print(this.#streams.stderr, `${this.#prefix}error: ${message}`);
  }

  /**
   * Starts a progress bar: a moving line on a terminal, a plain line now and then elsewhere.
   *
   * @param name what is being done, `train srclip`
   * @param total how many units there are
   * @param unit one unit's name, `step`
   */
  progress(name: string, total: number, unit: string): Progress {
    this.#bar?.finish();
    const stream = this.#speaker === null ? this.#streams.stderr : SILENT;
    this.#bar = new Progress(stream, { name, total, unit });
    return this.#bar;
  }

  get #prefix(): string {
    return this.#speaker === null ? "" : `${this.#speaker}: `;
  }

  #print(stream: ProgressStream, text: string): void {
    this.#bar?.hide();
    stream.write(`${text}\n`);
    this.#bar?.show();
  }
}

/** A number with its noun: `1 image`, `2 images`. @param many the plural, where an s does not make it */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** A table of text cells as lines with aligned columns: the first column to the left, the others to the right. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join("  ")
      .trimEnd(),
  );
}
