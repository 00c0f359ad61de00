import { describe, expect, it } from "vitest";
import type { Comparison } from "../../src/results/compare.ts";
import {
  aboutOf,
  beside,
  digits,
  formatPage,
  markdownTable,
  percent,
  type Results,
  signed,
} from "../../src/results/page.ts";
import type { Scores } from "../../src/results/scores.ts";

const NONE: Scores = { psnrY: null, psnrRgb: null, ssimY: null, niqe: null, gridExcess: null, gridLevels: null };

const SET: Comparison = {
  title: "Set5",
  about: "5 images",
  scale: 2,
  images: 5,
  of: 5,
  rows: [
    {
      name: "realdat-x2",
      ours: true,
      scores: { ...NONE, psnrY: 33.987, ssimY: 0.9312, psnrRgb: 32, niqe: 5, gridLevels: 0.124, gridExcess: 2.04 },
    },
    { name: "bicubic", ours: false, scores: { ...NONE, psnrY: 33.66, ssimY: 0.9299, psnrRgb: 31.5, niqe: 5.25 } },
    { name: "Lanczos-3", ours: false, scores: { ...NONE, psnrY: 33.6601, ssimY: 0.93, niqe: 5 } },
  ],
  failed: [],
  originals: { ...NONE, niqe: 4.126, gridLevels: 0.09, gridExcess: 1.1 },
};

const RESULTS: Results = {
  machine: { date: "2026-01-02T03:04:05.678Z", commit: "abc1234", node: "24.1.0", cpu: "A CPU", cores: 2, load: 0.5 },
  threads: "2 threads",
  command: "npm run results",
  models: ["realdat-x2"],
  peers: null,
  niqeModel: "the published model",
  sets: [],
  chart: [],
  tiles: [],
  recognition: [],
  time: [],
};

describe("numbers", () => {
  it("have the digits that are asked for, and a dash where there are none", () => {
    expect(digits(1.005, 1)).toBe("1.0");
    expect(digits(null, 2)).toBe("-");
    expect(percent(0.4167)).toBe("41.7 %");
  });

  it("have a sign where they are differences, unless they are too small for one", () => {
    expect(signed(0.314, 2)).toBe("+0.31");
    expect(signed(-0.314, 2)).toBe("-0.31");
    expect(signed(-0.001, 2)).toBe("0.00");
    expect(signed(0.004, 2)).toBe("0.00");
    expect(signed(null, 2)).toBe("-");
  });
});

describe("beside", () => {
  it("is the distance to bicubic interpolation, which has none itself", () => {
    const [ours, plain, lanczos] = SET.rows;
    expect(beside(ours!, SET.rows, "psnrY")).toBeCloseTo(0.327, 9);
    expect(beside(plain!, SET.rows, "psnrY")).toBeNull();
    expect(beside(lanczos!, SET.rows, "psnrRgb")).toBeNull();
    expect(beside(ours!, [ours!], "psnrY")).toBeNull();
  });
});

describe("markdownTable", () => {
  it("has its first column to the left and numbers to the right", () => {
    expect(markdownTable(["", "dB"], [["ours", "33.10"]])).toBe("|  | dB |\n| --- | ---: |\n| ours | 33.10 |");
  });
});

describe("aboutOf", () => {
  it("says when a set was cut short", () => {
    expect(aboutOf(SET)).toBe("5 images.");
    expect(aboutOf({ ...SET, images: 2 })).toBe("5 images; here 2 of them.");
    expect(aboutOf({ ...SET, failed: ["a peer"] })).toBe("5 images. Failed on every image: a peer.");
  });
});

describe("formatPage", () => {
  it("has the command, the machine and nothing that was not measured", () => {
    const page = formatPage(RESULTS);
    expect(page).toContain("    npm run results\n");
    expect(page).toContain("2026-01-02, commit abc1234; CPU backend with 2 threads, Node 24.1.0; A CPU, 2 cores.");
    expect(page).toContain("Without UpscalerJS.");
    expect(page).not.toContain("##");
    expect(page.endsWith(".\n")).toBe(true);
  });

  it("shows the distance to bicubic interpolation, our rows in bold", () => {
    const page = formatPage({ ...RESULTS, sets: [SET] });
    expect(page).toContain("### Set5, x2\n\n5 images.\n\n|");
    expect(page).toContain("| **realdat-x2** | 33.99 | +0.33 | 0.9312 | +0.0013 | 32.00 | 5.00 |");
    expect(page).toContain("| bicubic | 33.66 | - | 0.9299 | - | 31.50 | 5.25 |");
    expect(page).toContain("| Lanczos-3 | 33.66 | 0.00 | 0.9300 | +0.0001 | - | 5.00 |");
    expect(page).toContain("| originals | - | - | - | - | - | 4.13 |");
    expect(page).toContain("| originals | 0.09 (1.1) |");
    expect(page).toContain("| **realdat-x2** | 0.12 (2.0) |");
  });

  it("has no columns of errors where there are no originals, and no row in the table of patterns", () => {
    const rows = SET.rows.map((row) => ({ ...row, scores: { ...NONE, niqe: row.scores.niqe } }));
    const page = formatPage({ ...RESULTS, sets: [{ ...SET, title: "RealSRSet", scale: 4, rows, originals: null }] });
    expect(page).toContain("## x4\n\n### RealSRSet, x4");
    expect(page).toContain("| **realdat-x2** | 5.00 | -0.25 |");
    expect(page).not.toContain("PSNR-RGB |");
    expect(page).not.toContain("Patterns of the pixel grid");
  });

  it("has a section for each other part", () => {
    const seams = { largest: 0.043, mean: 0.002, border: 0.0024, elsewhere: 0.0019, tiled: 1, whole: 1 };
    const page = formatPage({
      ...RESULTS,
      chart: [{ model: "realdat-x2", colour: "keep", shifts: { largest: 0.42, mean: 0.131 } }],
      tiles: [{ model: "realdat-x2", blend: "cosine", images: 12, seams }],
      recognition: [{ name: "blur", accuracy: 0.9, chance: 0.25, constant: 0.292, images: 96 }],
      time: [{ model: "realdat-x2", scale: 2, seconds: 41.26 }],
    });
    expect(page).toContain("| realdat-x2 | keep | 0.13 | 0.42 |");
    expect(page).toContain("12 photographs of Kodak");
    expect(page).toContain("| realdat-x2 | blended | 0.043 | 0.002 | 0.002 | 0.002 |");
    expect(page).toContain("| blur | 90.0 % | 25.0 % | 29.2 % | 96 |");
    expect(page).toContain("| realdat-x2 | 1 MP | 4 MP | 41.3 |");
  });
});
