import { describe, expect, it } from "vitest";
import { assume } from "../src/index.ts";

const ASSUMED: { sides: readonly number[]; scale: number | null; eps: number; quick: boolean; mode: string } = {
  sides: [8, 32],
  scale: null,
  eps: 1e-5,
  quick: false,
  mode: "plain",
};

describe("assume", () => {
  it("puts what is given in the place of what is assumed", () => {
    expect(assume("NET", ASSUMED, {})).toEqual(ASSUMED);
    const given = { sides: [32, 8], scale: 0.5, eps: 1e-6, quick: true, mode: "other" };
    expect(assume("NET", ASSUMED, given)).toEqual(given);
    expect(assume("NET", ASSUMED, { scale: null, quick: true })).toEqual({ ...ASSUMED, quick: true });
  });

  it.each<[Readonly<Record<string, unknown>>, string]>([
    [{ epsilon: 1 }, "NET: nothing is assumed of epsilon: known are sides, scale, eps, quick, mode"],
    [{ toString: 1 }, "NET: nothing is assumed of toString: known are"],
    [{ sides: [8] }, "NET: sides: expected 2 numbers, got [8]"],
    [{ sides: [8, "a"] }, 'NET: sides: expected 2 numbers, got [8,"a"]'],
    [{ sides: 8 }, "NET: sides: expected 2 numbers, got 8"],
    [{ scale: "half" }, 'NET: scale: expected a number or null, got "half"'],
    [{ eps: null }, "NET: eps: expected a number, got null"],
    [{ eps: Number.NaN }, "NET: eps: expected a number"],
    [{ mode: 1 }, "NET: mode: expected a text, got 1"],
    [{ quick: 1 }, "NET: quick: expected true or false, got 1"],
  ])("refuses %j", (given, message) => {
    expect(() => assume("NET", ASSUMED, given)).toThrow(message);
  });
});
