import { expect, test } from "vitest";
import { Curve } from "../../src/report/curve.ts";

function curveOf(count: number, most: number): Curve {
  const curve = new Curve(most);
  for (let i = 1; i <= count; i++) curve.add(i, 10 * i);
  return curve;
}

test("a short curve keeps its values", () => {
  expect(curveOf(4, 4).series("loss")).toEqual({ name: "loss", x: [1, 2, 3, 4], y: [10, 20, 30, 40] });
});

test("a longer one joins neighbours, and loses none", () => {
  expect(curveOf(5, 4).series("a").x).toEqual([1.5, 3.5, 5]);
  expect(curveOf(6, 4).series("a").x).toEqual([1.5, 3.5, 5.5]);
  expect(curveOf(7, 4).series("a").y).toEqual([15, 35, 55, 70]);
  expect(curveOf(9, 4).series("a").x).toEqual([1.5, 3.5, 5.5, 7.5, 9]);
  expect(curveOf(10, 4).series("a").x).toEqual([2.5, 6.5, 9.5]);
});

test("half a million steps are a thousand points at most, in order and up to the end", () => {
  const { x, y } = curveOf(500_000, 1000).series("a");
  expect(x.length).toBeLessThanOrEqual(1001);
  expect(x.length).toBeGreaterThan(400);
  expect(x.every((value, i) => i === 0 || value > x[i - 1]!)).toBe(true);
  expect(x.at(-1)!).toBeGreaterThan(499_000);
  expect(y.every((value, i) => Math.abs(value - 10 * x[i]!) < 1e-6)).toBe(true);
});

test("what is no number is left out", () => {
  const curve = new Curve();
  curve.add(1, Number.NaN);
  curve.add(2, 5);
  curve.add(3, Number.POSITIVE_INFINITY);
  expect(curve.series("a")).toEqual({ name: "a", x: [2], y: [5] });
});
