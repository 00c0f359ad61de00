/** Images that pass by in strips of whole rows, from above: nothing holds all of one. */

/** Some rows of an image. */
export interface Strip {
  /** The first row. */
  readonly top: number;
  readonly rows: number;
  /** `rows * width * channels` values, white is 1; not clamped. */
  readonly data: Float32Array;
}

/** Strips of consecutive rows that make up an image. */
export type Strips = AsyncIterable<Strip>;

/** The same strips, cut so that none has more than `rows` rows of `row` values. */
export async function* cutStrips(strips: Strips, rows: number, row: number): AsyncGenerator<Strip> {
  for await (const strip of strips) {
    for (let at = 0; at < strip.rows; at += rows) {
      const count = Math.min(rows, strip.rows - at);
      yield { top: strip.top + at, rows: count, data: strip.data.subarray(at * row, (at + count) * row) };
    }
  }
}

/** Reads as many rows as are wanted, however the strips are cut. */
export class RowReader {
  readonly #strips: AsyncIterator<Strip>;
  readonly #row: number;
  #rest = new Float32Array(0);

  /** @param row values of a row */
  constructor(strips: Strips, row: number) {
    this.#strips = strips[Symbol.asyncIterator]();
    this.#row = row;
  }

  /** The next `rows` rows. @throws Error when there are no more */
  async read(rows: number): Promise<Float32Array> {
    const result = new Float32Array(rows * this.#row);
    let filled = 0;
    while (filled < result.length) {
      if (this.#rest.length === 0) {
        const { done, value } = await this.#strips.next();
        if (done) throw new Error("internal: an image ended before its last row");
        this.#rest = value.data as Float32Array<ArrayBuffer>;
      }
      const part = this.#rest.subarray(0, result.length - filled);
      result.set(part, filled);
      filled += part.length;
      this.#rest = this.#rest.subarray(part.length);
    }
    return result;
  }
}
