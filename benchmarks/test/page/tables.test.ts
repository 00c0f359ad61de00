import { expect, it } from "vitest";
import type { Sample } from "../../src/page/memory.ts";
import { compareTable, median, memoryTable } from "../../src/page/tables.ts";

it("takes the middle of an odd and of an even number of times", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
});

it("says how one failed in the place of its time", () => {
  const table = compareTable([
    {
      name: "ours",
      device: "WebAssembly, 2 threads",
      seconds: 12.34,
      freeze: { longestTask: 50, longestGap: 120 },
      seams: { worst: 0.5, usual: 0.25 },
      opacity: true,
      failed: null,
    },
    { name: "theirs", device: "wasm", seconds: null, freeze: null, seams: null, opacity: false, failed: "it crashed" },
  ]);
  expect(table).toContain("| ours | WebAssembly, 2 threads | 12.3 | 0.12 | 0.50 | 0.25 | yes |");
  expect(table).toContain("| theirs | wasm | it crashed | - | - | - | no |");
});

it("sums up each phase of a curve", () => {
  const sample = (at: number, phase: Sample["phase"], renderer: number): Sample => ({
    at,
    phase,
    renderer,
    browser: 100,
    gpu: 10,
    other: 1,
  });
  const table = memoryTable({
    photo: [6, 4],
    result: [12, 8],
    resultBytes: 288,
    pngBytes: 200,
    samples: [sample(0, "open", 50), sample(1, "enlarging", 300), sample(3, "enlarging", 200)],
  });
  expect(table).toContain("| open | 0.0 | 50 | 50 | 161 | 161 |");
  expect(table).toContain("| enlarging | 2.0 | 300 | 200 | 411 | 311 |");
});
