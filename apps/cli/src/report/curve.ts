/** Curves of long trainings in little memory. */
import type { Series } from "./chart.ts";

/**
 * A curve that never has more than `most` points: once it would, each two neighbours become one, their mean, and from then on each point
 * stands for twice as many values. Values that are no number are left out.
 */
export class Curve {
  readonly #most: number;
  /** How many values a point stands for. */
  #each = 1;
  #points: Point[] = [];
  #open: Point[] = [];

  constructor(most = 1000) {
    this.#most = most;
  }

  add(x: number, y: number): void {
    if (!Number.isFinite(y)) return;
    this.#open.push({ x, y });
    if (this.#open.length < this.#each) return;
    this.#points.push(mean(this.#open));
    this.#open = [];
    if (this.#points.length <= this.#most) return;
    const odd = this.#points.length % 2 === 1 ? [this.#points.pop()!] : [];
    this.#points = pairs(this.#points).map(mean);
    // The last one is half a point now.
    this.#open = odd.flatMap((point) => Array<Point>(this.#each).fill(point));
    this.#each *= 2;
  }

  /** The points so far, the last one of fewer values perhaps. */
  series(name: string): Series {
    const points = this.#open.length === 0 ? this.#points : [...this.#points, mean(this.#open)];
    return { name, x: points.map(({ x }) => x), y: points.map(({ y }) => y) };
  }
}

interface Point {
  readonly x: number;
  readonly y: number;
}

function mean(points: readonly Point[]): Point {
  const of = (value: (point: Point) => number): number =>
    points.reduce((sum, point) => sum + value(point), 0) / points.length;
  return { x: of(({ x }) => x), y: of(({ y }) => y) };
}

function pairs(points: readonly Point[]): Point[][] {
  return Array.from({ length: points.length / 2 }, (_, i) => points.slice(2 * i, 2 * i + 2));
}
