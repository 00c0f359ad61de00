import { describe, expect, test } from "vitest";
import { counted, Output, table } from "../src/output.ts";
import { byteSize, duration, Progress } from "../src/progress.ts";

/** A stream that keeps what is written. */
function recorder(isTTY: boolean): {
  write: (text: string) => boolean;
  isTTY: boolean;
  columns: number;
  text: () => string;
} {
  let all = "";
  return {
    isTTY,
    columns: 60,
    write: (text) => {
      all += text;
      return true;
    },
    text: () => all,
  };
}

describe("Output", () => {
  test("whoever hears the warnings gets the earlier ones first, and each once", () => {
    const stderr = recorder(false);
    const output = new Output("text", { stdout: recorder(false), stderr });
    const heard: string[] = [];
    output.warn("one");
    output.warn("two");
    output.hearWarnings((warning) => heard.push(warning));
    output.warn("three");
    expect(heard).toEqual(["one", "two", "three"]);
    expect(stderr.text()).toBe("warning: one\nwarning: two\nwarning: three\n");
  });

  test("people read stdout", () => {
    const [stdout, stderr] = [recorder(false), recorder(false)];
    const output = new Output("text", { stdout, stderr });
    output.line("hello");
    output.warn("careful");
    output.result({ a: 1 });
    output.failure("broken");
    expect(stdout.text()).toBe("hello\n");
    expect(stderr.text()).toBe("warning: careful\nerror: broken\n");
  });

  test("with --json stdout holds one object and lines go to stderr", () => {
    const [stdout, stderr] = [recorder(false), recorder(false)];
    const output = new Output("json", { stdout, stderr });
    output.line("hello");
    output.warn("careful");
    output.result({ a: 1 });
    expect(JSON.parse(stdout.text())).toEqual({ a: 1 });
    expect(stderr.text()).toBe("hello\nwarning: careful\n");
  });

  test("with --json a failure is an object with one line", () => {
    const [stdout, stderr] = [recorder(false), recorder(false)];
    new Output("json", { stdout, stderr }).failure("broken");
    expect(stdout.text()).toBe('{"error":"broken"}\n');
    expect(stderr.text()).toBe("");
  });

  test("a line takes the bar of a terminal away and brings it back", () => {
    const [stdout, stderr] = [recorder(true), recorder(true)];
    const output = new Output("text", { stdout, stderr });
    const bar = output.progress("train", 4, "step");
    bar.update(1);
    output.line("between");
    bar.finish();
    const [drawn, ...rest] = stderr.text().split("\r\u001b[2K").slice(1);
    expect(drawn).toMatch(/^train \[#####\s+\] 1\/4/);
    expect(rest[0]).toBe("");
    expect(rest[1]).toMatch(/^train \[#####/);
    expect(stdout.text()).toBe("between\n");
  });
});

describe("Progress", () => {
  test("shows share, rate, time left and a note", () => {
    const stream = recorder(true);
    const bar = new Progress(stream, { name: "train", total: 100, unit: "step" });
    bar.update(50, "loss 1.25");
    expect(bar.text()).toMatch(/^train \[#{10} {10}\] 50\/100 {2}\d+ step\/s {2}[\d.]+ s left {2}loss 1\.25$/);
  });

  test("counts only this run's part for the rate of a resumed one", () => {
    const bar = new Progress(recorder(false), { name: "train", total: 100, unit: "step" }).startAt(40);
    expect(bar.text()).toBe("train [########            ] 40/100");
  });

  test("on a terminal lines fit its width; elsewhere the last one is a plain line", () => {
    const terminal = recorder(true);
    const long = new Progress(terminal, { name: "x".repeat(100), total: 1, unit: "step" });
    long.update(1);
    long.finish();
    expect(
      terminal
        .text()
        .split("\r\u001b[2K")
        .every((part) => part.trimEnd().length <= 59),
    ).toBe(true);
    const file = recorder(false);
    const bar = new Progress(file, { name: "train", total: 3, unit: "step" });
    for (const step of [1, 2, 3, 3]) bar.update(step);
    bar.finish();
    expect(file.text()).toMatch(/^train \[#{20}\] 3\/3 [^\n\r]*\n$/);
  });
});

test("duration reads well", () => {
  expect([0.84, 9.94, 9.96, 42.4, 59.7, 185, 7800, Number.POSITIVE_INFINITY].map(duration)).toEqual([
    "0.8 s",
    "9.9 s",
    "10 s",
    "42 s",
    "1 min 00 s",
    "3 min 05 s",
    "2 h 10 min",
    "?",
  ]);
});

test("table aligns its columns", () => {
  expect(
    table(
      ["degradation", "accuracy"],
      [
        ["blur", "0.9"],
        ["jpeg", "0.25"],
      ],
    ),
  ).toEqual(["degradation  accuracy", "blur              0.9", "jpeg             0.25"]);
});

test("a number has its noun", () => {
  expect([0, 1, 2].map((n) => counted(n, "sharp block"))).toEqual([
    "0 sharp blocks",
    "1 sharp block",
    "2 sharp blocks",
  ]);
  expect([1, 3].map((n) => counted(n, "entry", "entries"))).toEqual(["1 entry", "3 entries"]);
});

test("byte sizes read well", () => {
  expect([100, 12_000, 36_000_000, 4 * 2 ** 30, 1.3e9].map(byteSize)).toEqual([
    "0.1 KiB",
    "11.7 KiB",
    "34.3 MiB",
    "4 GiB",
    "1.2 GiB",
  ]);
});
