/** Rows that arrive in any number, compressed strip by strip on several threads, written in their order. */

/** Strips are compressed this many at a time; so many are in memory at most. */
const IN_FLIGHT = 4;

/** A strip holds as many rows as fit into this many bytes. */
const STRIP_BYTES = 2 ** 20;

/** Where an encoder writes: a file, or memory. */
export interface Sink {
  /** Appends. */
  write(part: Uint8Array): Promise<void>;
  /** Replaces what was written at a place. */
  writeAt(part: Uint8Array, position: number): Promise<void>;
}

/** What becomes of a picture's rows. */
export interface RowEncoder {
  /** Takes whole rows, any number; the array may be used again once this has resolved. */
  writeRows(rows: Uint8Array | Uint16Array): Promise<void>;
  /** Writes what is left. @throws Error when rows are missing */
  end(): Promise<void>;
}

/** How strips are made and where they go. */
export interface StripOptions {
  readonly height: number;
  /** Values a row. */
  readonly rowValues: number;
  readonly rowsPerStrip: number;
  /** Makes the bytes to write of some rows; called in order, and it copies what it needs before it first waits. */
  compress(rows: Uint8Array | Uint16Array): Promise<Uint8Array>;
  /** Writes a strip's bytes; called in order, one at a time. */
  write(strip: Uint8Array): Promise<void>;
}

/** Rows in a strip of the usual size. */
export function rowsPerStrip(rowBytes: number): number {
  return Math.max(1, Math.floor(STRIP_BYTES / rowBytes));
}

/** Cuts rows into strips. */
export class RowStrips implements RowEncoder {
  readonly #options: StripOptions;
  readonly #pending: Promise<Uint8Array>[] = [];
  /** Rows that do not fill a strip yet. */
  #rest: Uint8Array | Uint16Array = new Uint8Array(0);
  #rows = 0;

  constructor(options: StripOptions) {
    this.#options = options;
  }

  async writeRows(given: Uint8Array | Uint16Array): Promise<void> {
    // A slice of a Buffer is no copy.
    const rows = given instanceof Uint8Array ? new Uint8Array(given.buffer, given.byteOffset, given.length) : given;
    const { rowValues, height, rowsPerStrip } = this.#options;
    if (rows.length % rowValues !== 0)
      throw new Error(`internal: ${rows.length} values are no whole rows of ${rowValues}`);
    this.#rows += rows.length / rowValues;
    if (this.#rows > height) throw new Error(`internal: ${this.#rows} rows for a picture of ${height}`);
    const size = rowsPerStrip * rowValues;
    const waiting = this.#rest.length === 0 ? rows : joined(this.#rest, rows);
    let at = 0;
    for (; at + size <= waiting.length; at += size) await this.#start(waiting.subarray(at, at + size));
    this.#rest = waiting.slice(at);
  }

  async end(): Promise<void> {
    if (this.#rows !== this.#options.height)
      throw new Error(`internal: ${this.#rows} rows for a picture of ${this.#options.height}`);
    if (this.#rest.length > 0) await this.#start(this.#rest);
    while (this.#pending.length > 0) await this.#finishOne();
  }

  async #start(strip: Uint8Array | Uint16Array): Promise<void> {
    const compressed = this.#options.compress(strip);
    // It is waited for later; until then its failure is nobody's.
    compressed.catch(() => undefined);
    this.#pending.push(compressed);
    while (this.#pending.length > IN_FLIGHT) await this.#finishOne();
  }

  async #finishOne(): Promise<void> {
    await this.#options.write(await this.#pending.shift()!);
  }
}

function joined(a: Uint8Array | Uint16Array, b: Uint8Array | Uint16Array): Uint8Array | Uint16Array {
  const both = b instanceof Uint8Array ? new Uint8Array(a.length + b.length) : new Uint16Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
