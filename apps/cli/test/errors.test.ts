import { expect, test } from "vitest";
import { exitCode, nearest, oneLine, systemCode, UsageError, UserError } from "../src/errors.ts";

test("oneLine joins the lines of a message and never returns nothing", () => {
  expect(oneLine(new Error("first\n   second\tthird "))).toBe("first second third");
  expect(oneLine("text")).toBe("text");
  expect(oneLine(new Error(""))).toContain("DEPLSR_DEBUG=1");
});

test("wrong usage ends with 2, everything else with 1", () => {
  expect(exitCode(new UsageError("x"))).toBe(2);
  expect(exitCode(new UserError("x"))).toBe(1);
  expect(exitCode("x")).toBe(1);
});

test("systemCode reads the code of a system error", () => {
  expect(systemCode(Object.assign(new Error("x"), { code: "ENOENT" }))).toBe("ENOENT");
  expect(systemCode(new Error("x"))).toBeUndefined();
  expect(systemCode(null)).toBeUndefined();
});

test("nearest finds a misspelt word and leaves a strange one alone", () => {
  expect(nearest("batchsize", ["lr", "batch_size", "epochs"])).toBe("batch_size");
  expect(nearest("stpes", ["steps", "seed"])).toBe("steps");
  expect(nearest("colour", ["steps", "seed"])).toBeUndefined();
});
