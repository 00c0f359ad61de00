import { Rng } from "@deplsr/tensor";
import { describe, expect, test } from "vitest";
import { leastPoints, similarities, tsne } from "../../src/visualize/tsne.ts";

/** Three clouds of 30 points each, far apart in 20 dimensions. */
function blobs(): { points: number[][]; labels: number[] } {
  const rng = new Rng(7);
  const centres = Array.from({ length: 3 }, () => Array.from({ length: 20 }, () => 6 * rng.normal()));
  const labels = Array.from({ length: 90 }, (_, i) => i % 3);
  return { points: labels.map((label) => centres[label]!.map((x) => x + rng.normal())), labels };
}

describe("t-SNE", () => {
  test("keeps clouds apart, and is the same for one seed", () => {
    const { points, labels } = blobs();
    const placed = tsne(points, { perplexity: 10, seed: 0 });
    for (const [i, [x, y]] of placed.entries()) {
      const others = placed.map(([u, v], j) => (i === j ? Number.POSITIVE_INFINITY : Math.hypot(u - x, v - y)));
      expect(labels[others.indexOf(Math.min(...others))]).toBe(labels[i]);
    }
    const centres = [0, 1, 2].map((label) => {
      const own = placed.filter((_, i) => labels[i] === label);
      return [0, 1].map((axis) => own.reduce((sum, point) => sum + point[axis]!, 0) / own.length);
    });
    const [a, b, c] = centres as [number[], number[], number[]];
    const apart = Math.min(
      ...[
        [a, b],
        [b, c],
        [a, c],
      ].map(([p, q]) => Math.hypot(p![0]! - q![0]!, p![1]! - q![1]!)),
    );
    const spread = Math.max(
      ...placed.map(([x, y], i) => Math.hypot(x - centres[labels[i]!]![0]!, y - centres[labels[i]!]![1]!)),
    );
    expect(apart).toBeGreaterThan(2 * spread);
    expect(tsne(points, { perplexity: 10, seed: 0 })).toEqual(placed);
    expect(tsne(points, { perplexity: 10, seed: 1, iterations: 5 })).not.toEqual(
      tsne(points, { perplexity: 10, seed: 0, iterations: 5 }),
    );
  });

  test("each point has about as many neighbours as the perplexity says", () => {
    const { points } = blobs();
    const n = points.length;
    const shares = similarities(points, 10);
    expect(shares.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 9);
    for (let i = 0; i < n; i++) {
      expect(shares[i * n + i]).toBeLessThan(1e-15);
      for (let j = 0; j < i; j++) expect(shares[i * n + j]).toBe(shares[j * n + i]);
    }
    // On a ring all rows are alike before they are made symmetric: the entropy of each is that of the perplexity.
    const ring = Array.from({ length: 40 }, (_, i) => [Math.cos((i * Math.PI) / 20), Math.sin((i * Math.PI) / 20)]);
    const row = similarities(ring, 8).slice(0, 40);
    const entropy = row.reduce((sum, value) => sum - 40 * value * Math.log(40 * value), 0);
    expect(Math.exp(entropy)).toBeCloseTo(8, 3);
  });

  test("equal points are no trouble, and too few are known", () => {
    const equal = Array.from({ length: 10 }, () => [1, 2, 3]);
    for (const [x, y] of tsne(equal, { perplexity: 3, seed: 0, iterations: 300 })) {
      expect(Number.isFinite(x) && Number.isFinite(y)).toBe(true);
    }
    expect(leastPoints(30)).toBe(91);
  });
});
