import { describe, expect, test } from "vitest";
import {
  commandLine,
  eta,
  headLines,
  type RunHead,
  scientific,
  stepLine,
  validationLines,
} from "../../src/train/run-log.ts";

const HEAD: RunHead = {
  command: ["train", "sr", "--config", "my options/x2.yml"],
  versions: { node: "22.1.0", deplsr: "0.1.0" },
  device: { backend: "cpu", adapter: "WASM SIMD, 8 threads", reason: "no hardware GPU" },
  dataSets: { "datasets.train": 800, "datasets.val": 1 },
  network: "RealDAT",
  parameters: { all: 1234567, trained: 1234567 },
  done: 0,
  total: 500_000,
};

describe("the head of the log", () => {
  test("tells what was run, with what, on what", () => {
    expect(headLines(HEAD)).toEqual([
      "command: deplsr train sr --config 'my options/x2.yml'",
      "versions: node 22.1.0, deplsr 0.1.0",
      "device: WASM SIMD, 8 threads (cpu; no hardware GPU)",
      "data: datasets.train has 800 items",
      "data: datasets.val has 1 item",
      "network: RealDAT with 1234567 parameters",
      "training: 500000 steps",
    ]);
  });

  test("says what is frozen and where a run goes on", () => {
    const lines = headLines({ ...HEAD, parameters: { all: 10, trained: 4 }, done: 200 });
    expect(lines.slice(-2)).toEqual([
      "network: RealDAT with 10 parameters, 4 of them trained",
      "training: resumed after step 200 of 500000",
    ]);
  });

  test("a command line can be pasted into a shell, and stays one line", () => {
    expect(commandLine(["train", "sr", "--set", "name=it's", "--out", "a\nb", "--x=$HOME", ""])).toBe(
      "deplsr train sr --set 'name=it'\\''s' --out 'a b' '--x=$HOME' ''",
    );
  });
});

describe("the line of a step", () => {
  test("is the original's", () => {
    const line = stepLine({
      name: "RealDAT_x2",
      epoch: 0,
      step: 100,
      learningRates: [2e-4],
      secondsLeft: 93_784.9,
      times: { steps: 100, time: 0.1234, parts: { data: 0.001 } },
      losses: { l_pix: 0.012345 },
    });
    expect(line).toBe(
      "[RealD..][epoch:  0, iter:     100, lr:(2.000e-04,)] [eta: 1 day, 2:03:04, time (data): 0.123 (0.001)] l_pix: 1.2345e-02",
    );
  });

  test("with several losses and rates, late in a run", () => {
    const line = stepLine({
      name: "abc",
      epoch: 1234,
      step: 12_500_000,
      learningRates: [1e-4, 0],
      secondsLeft: Number.NaN,
      times: { steps: 1, time: 12, parts: {} },
      losses: { l_pix: 1234.5, "content loss": 0 },
    });
    expect(line).toBe(
      "[abc..][epoch:1234, iter:12,500,000, lr:(1.000e-04,0.000e+00,)] [eta: ?, time (data): 12.000 (0.000)] l_pix: 1.2345e+03 content loss: 0.0000e+00",
    );
  });

  test("times are those of Python's timedelta", () => {
    expect([0, 5.9, 3599, 3600, 86_399, 86_400, 172_805, -3].map(eta)).toEqual([
      "0:00:00",
      "0:00:05",
      "0:59:59",
      "1:00:00",
      "23:59:59",
      "1 day, 0:00:00",
      "2 days, 0:00:05",
      "0:00:00",
    ]);
  });

  test("exponents have two digits or more", () => {
    expect([1, 2e-4, 1e-12, 1e200, -3e5].map((value) => scientific(value, 2))).toEqual([
      "1.00e+00",
      "2.00e-04",
      "1.00e-12",
      "1.00e+200",
      "-3.00e+05",
    ]);
  });
});

test("a validation has the original's lines", () => {
  const metrics = {
    psnr: { value: 25.27281, best: 25.3, bestStep: 5000 },
    ssim: { value: 0.7, best: 0.7, bestStep: 10_000 },
  };
  expect(validationLines("DIV2K", metrics)).toEqual([
    "Validation DIV2K",
    "\t # psnr: 25.2728\tBest: 25.3000 @ 5000 iter",
    "\t # ssim: 0.7000\tBest: 0.7000 @ 10000 iter",
  ]);
});
