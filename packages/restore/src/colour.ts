/** Holding colours: what a network changes on average, over areas much larger than what it restores, is taken back. */
import { type RasterImage, whiteOf } from "./image.ts";
import type { Strip, Strips } from "./strip.ts";

/**
 * Side of the cells over which colours are compared, in pixels of the input. They begin half a cell outside of the image: each takes a quarter
 * of four of JPEG's blocks, so that the error of a block's own mean, which a network has smoothed, does not come back as it was.
 */
const CELL = 8;
const HALF = CELL / 2;

/**
 * The strips of an image that was enlarged by `scale`, with the low frequencies of the original: over each cell the mean difference is
 * measured, and between the middles of cells interpolated linearly.
 */
export async function* keptColours(strips: Strips, original: RasterImage, scale: number): AsyncGenerator<Strip> {
  const cells = new Cells(original, scale);
  let waiting: Strip[] = [];
  for await (const strip of strips) {
    cells.take(strip);
    waiting.push(strip);
    const still: Strip[] = [];
    for (const part of waiting) {
      const ready = Math.min(part.rows, Math.max(0, cells.ready - part.top));
      const row = original.width * scale * 3;
      if (ready > 0) yield cells.correct({ ...part, rows: ready, data: part.data.subarray(0, ready * row) });
      if (ready < part.rows) {
        still.push({ top: part.top + ready, rows: part.rows - ready, data: part.data.subarray(ready * row) });
      }
    }
    waiting = still;
  }
}

/** The mean differences between an image and its enlargement, cell by cell. */
class Cells {
  readonly #original: RasterImage;
  readonly #scale: number;
  readonly #columns: number;
  readonly #lines: number;
  /** Sums of the enlargement, then the differences; three of a cell. */
  readonly #differences: Float64Array;
  /** Rows of cells whose differences are known. */
  #complete = 0;

  constructor(original: RasterImage, scale: number) {
    this.#original = original;
    this.#scale = scale;
    this.#columns = Math.ceil((original.width + HALF) / CELL);
    this.#lines = Math.ceil((original.height + HALF) / CELL);
    this.#differences = new Float64Array(this.#columns * this.#lines * 3);
  }

  /** Rows of the enlargement that can be corrected. */
  get ready(): number {
    if (this.#complete === this.#lines) return this.#original.height * this.#scale;
    return Math.max(0, (this.#complete - 1) * CELL * this.#scale);
  }

  /** Adds rows of the enlargement. */
  take({ top, rows, data }: Strip): void {
    const [side, half] = [CELL * this.#scale, HALF * this.#scale];
    const width = this.#original.width * this.#scale;
    for (let y = 0; y < rows; y++) {
      const line = Math.floor((top + y + half) / side) * this.#columns;
      for (let x = 0; x < width; x++) {
        const cell = (line + Math.floor((x + half) / side)) * 3;
        const at = (y * width + x) * 3;
        // What is written is clamped.
        for (let c = 0; c < 3; c++) this.#differences[cell + c]! += Math.min(1, Math.max(0, data[at + c]!));
      }
    }
    while (
      this.#complete < this.#lines &&
      top + rows >= spanOf(this.#complete, this.#original.height)[1] * this.#scale
    ) {
      this.#compare(this.#complete);
      this.#complete += 1;
    }
  }

  /** Turns the sums of a row of cells into differences from the original. */
  #compare(line: number): void {
    const { width, height, data } = this.#original;
    const white = whiteOf(data);
    const [top, bottom] = spanOf(line, height);
    for (let column = 0; column < this.#columns; column++) {
      const [left, right] = spanOf(column, width);
      const area = (bottom - top) * (right - left);
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (let y = top; y < bottom; y++) {
          for (let x = left; x < right; x++) sum += data[(y * width + x) * 3 + c]!;
        }
        const cell = (line * this.#columns + column) * 3 + c;
        this.#differences[cell] = sum / white / area - this.#differences[cell]! / (area * this.#scale ** 2);
      }
    }
  }

  /** Adds the differences to rows that are ready, in place. */
  correct(strip: Strip): Strip {
    const { top, rows, data } = strip;
    const side = CELL * this.#scale;
    const width = this.#original.width * this.#scale;
    const line = new Float64Array(this.#columns * 3);
    const columns = Array.from({ length: width }, (_, x) => between(x, side, this.#columns));
    for (let y = 0; y < rows; y++) {
      const { first, second, part } = between(top + y, side, this.#lines);
      for (let i = 0; i < line.length; i++) {
        const above = this.#differences[first * line.length + i]!;
        line[i] = above + (this.#differences[second * line.length + i]! - above) * part;
      }
      for (let x = 0; x < width; x++) {
        const column = columns[x]!;
        for (let c = 0; c < 3; c++) {
          const before = line[column.first * 3 + c]!;
          data[(y * width + x) * 3 + c]! += before + (line[column.second * 3 + c]! - before) * column.part;
        }
      }
    }
    return strip;
  }
}

/** Where a cell begins and ends along an axis, in pixels of the input. */
function spanOf(cell: number, length: number): [number, number] {
  return [Math.max(0, cell * CELL - HALF), Math.min(length, (cell + 1) * CELL - HALF)];
}

/** The two cells between whose middles a position lies, and how far towards the second. */
function between(at: number, side: number, count: number): { first: number; second: number; part: number } {
  const place = Math.min(count - 1, (at + 0.5) / side);
  const first = Math.floor(place);
  return { first, second: Math.min(first + 1, count - 1), part: place - first };
}
