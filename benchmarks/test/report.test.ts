import { availableParallelism } from "node:os";
import { describe, expect, it } from "vitest";
import { type About, type ContenderName, rivals } from "../src/contender.ts";
import type { Cell, Measured } from "../src/harness.ts";
import { jobName, planJobs } from "../src/jobs.ts";
import { parseOptions } from "../src/options.ts";
import { formatTable, makeReport, type Report } from "../src/report.ts";
import type { Row } from "../src/row.ts";

const machine = {
  date: "2026-01-01T00:00:00.000Z",
  commit: "abc1234",
  node: "20.0.0",
  cpu: "CPU",
  cores: 2,
  load: 0.1,
};
const about = new Map<ContenderName, About>([
  ["ours", { version: "this checkout", backend: "webgpu", adapter: "llvmpipe", kind: "system" }],
  ["jax-js", { version: "0.1.25", backend: "webgpu", adapter: "llvmpipe" }],
]);
const times = (...rounds: number[]): Cell => ({ kind: "times", rounds, error: 1e-7, notes: [] });
const makeRow = (name: string, rest: Partial<Row> = {}): Row => ({
  name,
  shape: "[2]",
  reference: () => Float64Array.of(0),
  tolerance: 0,
  tasks: {},
  ...rest,
});

const measured: Measured[] = [
  {
    job: { row: makeRow("product", { flops: 4e6 }), cold: false },
    cells: new Map<ContenderName, Cell>([
      ["ours", times(10, 20, 30)],
      ["jax-js", times(40, 44, 42)],
      ["ort-webgpu", { ...times(30), notes: ["wrong result, NaN"] } as Cell],
      ["tfjs-wasm", times(5)],
    ]),
  },
  {
    job: { row: makeRow("step", { bytes: 1e6 }), cold: true },
    cells: new Map<ContenderName, Cell>([
      ["ours", times(1234.5678)],
      ["jax-js", { kind: "failed", reason: "out of luck" }],
      ["ort-webgpu", { kind: "cannot", reason: "does not train" }],
      ["tfjs-webgpu", { kind: "cannot", reason: "does not train" }],
    ]),
  },
];
const report = makeReport({
  about,
  machine,
  threads: null,
  ceilings: { flops: 1e9, bytes: 2e9 },
  measured,
  peers: ["jax-js", "ort-webgpu"],
  native: [],
});

const cpuCells: Measured[] = [
  {
    job: { row: makeRow("product", { target: { ratio: 1.5, torch: 0.4 } }), cold: false },
    cells: new Map<ContenderName, Cell>([
      ["ours", times(10)],
      ["tfjs-wasm", times(12)],
      ["ort-node", times(3)],
      ["torch", times(5)],
    ]),
  },
];
const onCpu = (threads: number): Report =>
  makeReport({
    about: new Map([["ours", { version: "this checkout", backend: "cpu", adapter: "CPU, WASM", kind: "cpu" }]]),
    machine,
    threads,
    ceilings: {},
    measured: cpuCells,
    ...rivals("cpu"),
  });

describe("makeReport", () => {
  it("has the medians, the ratio to the fastest peer on the same adapter, and the rate beside the roof", () => {
    expect(report).toMatchObject({ adapter: "llvmpipe", backend: "webgpu", kind: "system", threads: null, machine });
    expect(report.roof).toEqual({ gflops: 1, gbs: 2 });
    expect(report.rows[0]).toEqual({
      name: "product",
      shape: "[2]",
      dtype: "f32",
      ours: 20,
      peers: { "jax-js": 42, "ort-webgpu": 30 },
      ratio: 1.5,
      native: {},
      nativeRatio: {},
      others: { "tfjs-wasm": 5 },
      notes: { "ort-webgpu": "wrong result, NaN" },
      gflops: 0.2,
      ofRoof: 0.2,
      rounds: { ours: [10, 20, 30], "jax-js": [40, 44, 42], "ort-webgpu": [30], "tfjs-wasm": [5] },
      errors: { ours: 1e-7, "jax-js": 1e-7, "ort-webgpu": 1e-7, "tfjs-wasm": 1e-7 },
    });
  });

  it("has no ratio without a peer, no rate for a first run, and the reason of a failure", () => {
    expect(report.rows[1]).toEqual({
      name: "first step (cold)",
      shape: "[2]",
      dtype: "f32",
      ours: 1235,
      peers: {},
      ratio: null,
      native: {},
      nativeRatio: {},
      cannot: { "ort-webgpu": "does not train", "tfjs-webgpu": "does not train" },
      failures: { "jax-js": "out of luck" },
      rounds: { ours: [1235] },
      errors: { ours: 1e-7 },
    });
  });

  it("says so when ours failed", () => {
    const cells = new Map<ContenderName, Cell>([
      ["ours", { kind: "failed", reason: "no" }],
      ["jax-js", times(3)],
    ]);
    const lost = makeReport({
      about,
      machine,
      ceilings: {},
      threads: null,
      measured: [{ ...measured[0]!, cells }],
      peers: ["jax-js"],
      native: [],
    });
    expect(lost.rows[0]).toMatchObject({ ours: null, ratio: null, peers: { "jax-js": 3 }, failures: { ours: "no" } });
  });

  it("keeps native code out of the ratio, and has targets for one thread alone", () => {
    const rows = [1, 2].map((threads) => onCpu(threads).rows[0]!);
    expect(rows[0]).toMatchObject({
      ours: 10,
      peers: { "tfjs-wasm": 12 },
      ratio: 1.2,
      native: { "ort-node": 3, torch: 5 },
      nativeRatio: { "ort-node": 0.3, torch: 0.5 },
      target: { ratio: 1.5, torch: 0.4 },
    });
    expect(rows[1]).not.toHaveProperty("target");
  });
});

describe("formatTable", () => {
  it("aligns a line for each row and explains what is missing", () => {
    expect(formatTable(report, measured, ["ours", "jax-js", "ort-webgpu"], [])).toEqual([
      "webgpu on llvmpipe (system); f32; commit abc1234; node 20.0.0; CPU, 2 cores, load 0.1",
      "roof: copy 2.00 GB/s, multiply-add 1.00 GFLOP/s",
      "",
      "ms                      ours    jax-js  ort-webgpu  ratio           rate  of roof",
      "product            20.0 ±50%  42.0 ±5%        30.0  1.50x  0.200 GFLOP/s      20%",
      "first step (cold)       1235     fails           -",
      "ort-webgpu: its quicker way: wrong result, NaN (product)",
      "ort-webgpu, tfjs-webgpu: does not train (first step (cold))",
      "jax-js: fails: out of luck (first step (cold))",
    ]);
  });

  it("puts native code behind the ratio, with the part of its speed, and says whether a target is met", () => {
    const names = ["ours", "tfjs-wasm", "ort-node", "torch"] as const;
    expect(formatTable(onCpu(1), cpuCells, names, ["ort-node", "torch"])).toEqual([
      "cpu on CPU, WASM (everyone on 1 thread); f32; commit abc1234; node 20.0.0; CPU, 2 cores, load 0.1",
      "",
      "ms       ours  tfjs-wasm          ratio  ort-node  of ort-node  torch   of torch",
      "product  10.0       12.0  1.20x < 1.50x      3.00          30%   5.00  50% ≥ 40%",
    ]);
  });
});

describe("another checkout", () => {
  const cells = (before: Cell, ours: Cell = times(10)): Measured["cells"] =>
    new Map<ContenderName, Cell>([
      ["ours", ours],
      ["before", before],
      ["jax-js", times(30)],
    ]);
  const rows: Measured[] = [
    { job: { row: makeRow("faster"), cold: false }, cells: cells(times(15)) },
    { job: { row: makeRow("new"), cold: false }, cells: cells({ kind: "cannot", reason: "no such row" }) },
    { job: { row: makeRow("lost"), cold: false }, cells: cells(times(8), { kind: "failed", reason: "no" }) },
  ];
  const input = { about, machine, threads: null, ceilings: {}, measured: rows, peers: ["jax-js"], native: [] } as const;
  const compared = makeReport({ ...input, against: "old5678" });

  it("is compared with ours, and is no peer", () => {
    expect(compared.against).toBe("old5678");
    expect(compared.rows).toMatchObject([
      { ours: 10, before: 15, beforeRatio: 1.5, peers: { "jax-js": 30 }, ratio: 3, rounds: { before: [15] } },
      { ours: 10, before: null, beforeRatio: null, cannot: { before: "no such row" } },
      { ours: null, before: 8, beforeRatio: null },
    ]);
    expect(compared.rows[0]).not.toHaveProperty("others");
    expect(makeReport(input).rows[0]).not.toHaveProperty("before");
    expect(makeReport(input)).not.toHaveProperty("against");
  });

  it("has two columns of its own", () => {
    expect(formatTable(compared, rows, ["ours", "before", "jax-js"], [])).toEqual([
      "webgpu on llvmpipe (system); f32; commit abc1234, before: old5678; node 20.0.0; CPU, 2 cores, load 0.1",
      "",
      "ms       ours       before  before / ours  jax-js  ratio",
      "faster   10.0         15.0          1.50x    30.0  3.00x",
      "new      10.0  no such row                   30.0  3.00x",
      "lost    fails         8.00                   30.0",
      "before: no such row (new)",
      "ours: fails: no (lost)",
    ]);
  });
});

describe("planJobs", () => {
  const rows = [makeRow("matmul"), makeRow("MLP step", { alsoCold: true })];
  const names = (only: string[], cold = false): string[] => planJobs(rows, { only, cold }).map(jobName);

  it("takes rows by parts of their names", () => {
    expect(names([])).toEqual(["matmul", "MLP step", "first MLP step (cold)"]);
    expect(names(["mlp"])).toEqual(["MLP step", "first MLP step (cold)"]);
    expect(names(["(cold)", "MAT"])).toEqual(["matmul", "first MLP step (cold)"]);
    expect(names([], true)).toEqual(["first matmul (cold)", "first MLP step (cold)"]);
  });

  it("names what there is when nothing matches", () => {
    expect(() => names(["conv"])).toThrow('no row\'s name contains "conv"; there are matmul, MLP step');
  });
});

describe("parseOptions", () => {
  it("reads what it is told", () => {
    expect(parseOptions([])).toMatchObject({
      only: [],
      rounds: 5,
      json: false,
      cold: false,
      peers: undefined,
      device: { threads: 1 },
    });
    const args = [
      "--only",
      "matmul, softmax",
      "--rounds",
      "2",
      "--peers",
      "none",
      "--adapter",
      "swiftshader",
      "--json",
    ];
    expect(parseOptions(args)).toMatchObject({
      only: ["matmul", "softmax"],
      rounds: 2,
      peers: [],
      device: { adapter: "swiftshader", threads: 1 },
      json: true,
    });
    expect(parseOptions([]).against).toBeUndefined();
    expect(parseOptions(["--against", "../before"]).against).toBe("../before");
    expect(parseOptions(["--backend", "cpu", "--threads", "3"]).device).toEqual({ backend: "cpu", threads: 3 });
    expect(parseOptions(["--threads", "all"]).device).toEqual({ threads: availableParallelism() });
  });

  it("refuses the rest", () => {
    expect(() => parseOptions(["--rounds", "0"])).toThrow("--rounds takes a whole number from 1 on, got 0");
    expect(() => parseOptions(["--threads", "many"])).toThrow(
      "--threads takes a whole number from 1 on or all, got many",
    );
    expect(() => parseOptions(["--adapter", "cuda"])).toThrow(
      "--adapter takes auto, hardware, system, swiftshader, got cuda",
    );
    expect(() => parseOptions(["--peers", "numpy"])).toThrow('"numpy" is none of jax-js');
    expect(() => parseOptions(["--fast"])).toThrow("--fast");
  });
});

describe("a training step that is looked into", () => {
  const parts = { data: 1, forward: 39, backward: 50, optimizer: 10 };
  const step: Cell = {
    kind: "times",
    rounds: [80, 84, 82],
    error: 0,
    notes: [],
    profile: { parts, liveBytes: 124e6, peakBytes: 812.4e6 },
  };
  const cells = [
    { job: { row: makeRow("training"), cold: false }, cells: new Map<ContenderName, Cell>([["ours", step]]) },
    measured[0]!,
  ];
  const looked = makeReport({
    about,
    machine,
    threads: null,
    ceilings: {},
    measured: cells,
    peers: ["jax-js"],
    native: [],
  });

  it("has steps a second of whole steps, shares and bytes; other rows have none", () => {
    expect(looked.rows[0]!.step).toEqual({
      perSecond: 12.2,
      shares: { data: 0.01, forward: 0.39, backward: 0.5, optimizer: 0.1 },
      liveBytes: 124e6,
      peakBytes: 812.4e6,
    });
    expect(looked.rows[1]).not.toHaveProperty("step");
  });

  it("stands in a table of its own", () => {
    const lines = formatTable(looked, cells, ["ours", "jax-js"], []);
    const at = lines.findIndex((line) => line.startsWith("step of ours"));
    expect(lines.slice(at - 1)).toEqual([
      "",
      "step of ours  step/s  data  forward  backward  optimizer  live MB  peak MB",
      "training        12.2    1%      39%       50%        10%      124      812",
      expect.stringContaining("ort-webgpu"),
    ]);
  });
});
