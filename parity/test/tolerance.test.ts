import { describe, expect, it } from "vitest";
import { formatNumber, formatRule, matchesGlob, parseRoles, parseTolerance, roleOf, ruleOf } from "../src/tolerance.ts";

describe("matchesGlob", () => {
  it.each([
    ["case.out", "*.out", true],
    ["case.out.a", "*.out", false],
    ["case.out.a", "*.out.*", true],
    ["a.b.grad.x", "*.grad.*", true],
    ["anything", "*", true],
    ["out+lq", "out+lq", true],
    ["outxlq", "out.lq", false],
    ["state.a.b", "state.*.b", true],
    ["mystate.a", "state.*", false],
  ])("%s under %s: %s", (name, glob, expected) => {
    expect(matchesGlob(name, glob)).toBe(expected);
  });
});

describe("parseRoles and roleOf", () => {
  const roles = parseRoles({ input: ["in.*"], forward: ["out.*", "in.both"], gradient: [] });

  it("gives the one role", () => {
    expect(roleOf("in.x", roles)).toBe("input");
    expect(roleOf("out.x", roles)).toBe("forward");
  });

  it("refuses none, two and unknown roles", () => {
    expect(() => roleOf("x", roles)).toThrow('tensor "x" has no role');
    expect(() => roleOf("in.both", roles)).toThrow('tensor "in.both" is both input and forward');
    expect(() => parseRoles({ forwards: [] })).toThrow('"forwards" is not understood');
    expect(() => parseRoles({ forward: "out" })).toThrow("roles.forward is not a list of names");
  });
});

describe("parseTolerance and ruleOf", () => {
  const tolerance = parseTolerance({
    forward: { rel: 1e-5 },
    gradient: { rel: 1e-4, floor: 1e-6, scope: "case" },
    overrides: { "a.out*": { abs: 0.1, fraction: 0.5 }, "a.*": { rel: 0 } },
    fraction: 0.01,
    step: 2,
  });

  it("takes the first matching override, else the role's rule", () => {
    expect(ruleOf("a.out.x", "forward", tolerance)).toEqual({ abs: 0.1, fraction: 0.5 });
    expect(ruleOf("a.grad.x", "gradient", tolerance)).toEqual({ rel: 0 });
    expect(ruleOf("b.grad.x", "gradient", tolerance)).toEqual({ rel: 1e-4, floor: 1e-6, scope: "case" });
  });

  it("gives the shared fraction to forward tensors without an own one", () => {
    expect(ruleOf("b.out", "forward", tolerance)).toEqual({ rel: 1e-5, fraction: 0.01, step: 2 });
    expect(ruleOf("a.x", "forward", tolerance)).toEqual({ rel: 0, fraction: 0.01, step: 2 });
  });

  it.each([
    [{ forward: { relative: 1 } }, "tolerance.forward: relative 1 is not understood"],
    [{ forward: { rel: -1 } }, "tolerance.forward: rel -1"],
    [{ forward: { rel: "1" } }, 'rel "1"'],
    [{ gradient: { scope: "file" } }, 'scope "file"'],
    [{ backward: {} }, '"backward" is not understood'],
    [{ overrides: [] }, "tolerance.overrides is not an object"],
  ])("refuses %j", (value, message) => {
    expect(() => parseTolerance(value)).toThrow(message);
  });

  it("needs a rule", () => {
    expect(() => ruleOf("x", "forward", parseTolerance({}))).toThrow('no rule for forward tensor "x"');
  });
});

describe("formatting", () => {
  it("is short", () => {
    expect([0, 1.234e-7, 1e-5, 0.05, 12.3, Number.POSITIVE_INFINITY].map(formatNumber)).toEqual([
      "0",
      "1.2e-7",
      "1e-5",
      "0.05",
      "12",
      "Infinity",
    ]);
    expect(formatRule({ rel: 1e-5, floor: 1e-6, scope: "case" })).toBe("rel 1e-5 floor 1e-6");
    expect(formatRule({})).toBe("exact");
  });
});
