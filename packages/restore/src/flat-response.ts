/** What a network makes of flat colours, taken back: it may add detail, but a surface of one colour has to stay what it is. */
import { noGrad, scope, type Tensor } from "@deplsr/tensor";
import { type RasterImage, whiteOf } from "./image.ts";
import type { Strip, Strips } from "./strip.ts";

/** Colours along each of red, green and blue. */
const LEVELS = 5;
/** Side of a flat image, in pixels. */
const SIDE = 16;
/** Differences below this, of white 1, are left to what holds the means of small areas: two levels. */
const LEAST = 2 / 255;

/** How far a network is off on flat colours: a table over red, green and blue, three differences each. */
export type FlatResponse = Float32Array;

/**
 * Measures it on small images: on the corners of the cube of colours and its middle first, and only where one of these is off on all.
 *
 * @param forward (1, 3, h, w) → (1, 3, s·h, s·w)
 * @param signal asked before each
 * @returns null when those nine stay what they are, to two levels
 * @throws the signal's reason once it is aborted
 */
export async function flatResponse(
  device: Tensor["device"],
  forward: (x: Tensor) => Tensor,
  signal: AbortSignal | null = null,
): Promise<FlatResponse | null> {
  const table = new Float32Array(LEVELS ** 3 * 3);
  const all = Array.from({ length: LEVELS ** 3 }, (_, i) => i);
  const measure = async (places: readonly number[]): Promise<void> => {
    for (const i of places) {
      signal?.throwIfAborted();
      table.set(await differencesAt(device, forward, levelsAt(i)), i * 3);
    }
  };
  const isProbe = (i: number): boolean =>
    i === (all.length - 1) / 2 || levelsAt(i).every((level) => level === 0 || level === 1);
  await measure(all.filter(isProbe));
  if (table.every((difference) => Math.abs(difference) < LEAST)) return null;
  await measure(all.filter((i) => !isProbe(i)));
  return table;
}

/** Red, green and blue at a place of the table. */
function levelsAt(i: number): number[] {
  return [Math.floor(i / LEVELS ** 2), Math.floor(i / LEVELS) % LEVELS, i % LEVELS].map((k) => k / (LEVELS - 1));
}

/** How far a flat image is from its colour after `forward`, clamped. */
async function differencesAt(
  device: Tensor["device"],
  forward: (x: Tensor) => Tensor,
  colour: readonly number[],
): Promise<number[]> {
  const planes = Float32Array.from({ length: 3 * SIDE ** 2 }, (_, k) => colour[Math.floor(k / SIDE ** 2)]!);
  using made = scope(() => noGrad(() => forward(device.tensor(planes, [1, 3, SIDE, SIDE]))));
  const values = await made.data();
  const area = values.length / 3;
  return colour.map((level, c) => {
    let sum = 0;
    for (let k = 0; k < area; k++) sum += Math.min(1, Math.max(0, Number(values[c * area + k])));
    return level - sum / area;
  });
}

/** Strips of an image that was enlarged by `scale`, with what the table says of the original's colours taken back. In place. */
export async function* withoutFlatResponse(
  strips: Strips,
  original: RasterImage,
  scale: number,
  table: FlatResponse,
): AsyncGenerator<Strip> {
  const { width, height } = original;
  const columns = Array.from({ length: width * scale }, (_, x) => between(x, scale, width));
  const line = new Float32Array(width * 3);
  for await (const strip of strips) {
    for (let y = 0; y < strip.rows; y++) {
      const row = between(strip.top + y, scale, height);
      differencesOfRow(original, row, table, line);
      for (let x = 0; x < columns.length; x++) {
        const { first, second, part } = columns[x]!;
        for (let c = 0; c < 3; c++) {
          const left = line[first * 3 + c]!;
          strip.data[(y * columns.length + x) * 3 + c]! += left + (line[second * 3 + c]! - left) * part;
        }
      }
    }
    yield strip;
  }
}

/** Two neighbours, and how far towards the second. */
interface Between {
  readonly first: number;
  readonly second: number;
  readonly part: number;
}

function between(at: number, scale: number, length: number): Between {
  const place = Math.min(length - 1, Math.max(0, (at + 0.5) / scale - 0.5));
  const first = Math.floor(place);
  return { first, second: Math.min(first + 1, length - 1), part: place - first };
}

/** The table's differences for the colours between two rows of an image. */
function differencesOfRow({ data, width }: RasterImage, row: Between, table: FlatResponse, line: Float32Array): void {
  const scale = (LEVELS - 1) / whiteOf(data);
  const [above, below] = [row.first * width * 3, row.second * width * 3];
  for (let x = 0; x < width * 3; x += 3) {
    const cell = [0, 0, 0];
    const part = [0, 0, 0];
    for (let c = 0; c < 3; c++) {
      const value = (data[above + x + c]! + (data[below + x + c]! - data[above + x + c]!) * row.part) * scale;
      cell[c] = Math.min(LEVELS - 2, Math.floor(value));
      part[c] = value - cell[c]!;
    }
    line.fill(0, x, x + 3);
    for (let corner = 0; corner < 8; corner++) {
      const [r, g, b] = [corner >> 2, (corner >> 1) & 1, corner & 1];
      const share = (r ? part[0]! : 1 - part[0]!) * (g ? part[1]! : 1 - part[1]!) * (b ? part[2]! : 1 - part[2]!);
      const at = (((cell[0]! + r) * LEVELS + cell[1]! + g) * LEVELS + cell[2]! + b) * 3;
      for (let c = 0; c < 3; c++) line[x + c]! += share * table[at + c]!;
    }
  }
}
