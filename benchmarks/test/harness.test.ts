import { afterEach, expect, it, vi } from "vitest";
import type { Checkout } from "../src/checkout.ts";
import { Harness } from "../src/harness.ts";
import { makeReport } from "../src/report.ts";
import type { Row } from "../src/row.ts";

const script = new URL("./fixtures/contender.mjs", import.meta.url);
const row: Row = {
  name: "two numbers",
  shape: "[2]",
  reference: () => Float64Array.of(1, 2),
  tolerance: 1e-6,
  tasks: {},
};
const machine = { date: "2026-01-01T00:00:00.000Z", commit: "abc", node: "20", cpu: "c", cores: 2, load: 0 };

afterEach(() => vi.unstubAllEnvs());

async function withHarness<T>(
  rounds: number,
  work: (harness: Harness, said: string[]) => Promise<T>,
  against?: Checkout,
): Promise<T> {
  const said: string[] = [];
  const say = (line: string): void => void said.push(line);
  const harness = new Harness({ device: {}, rounds, say, timeout: 5000, script, ...(against && { against }) });
  try {
    await harness.openOurs();
    return await work(harness, said);
  } finally {
    harness.close();
  }
}

it("times whoever is right, in its first way that is right, and says why others have no time", async () => {
  const names = ["ours", "jax-js", "tfjs-webgpu", "ort-webgpu"] as const;
  const measured = await withHarness(3, (harness) => harness.measure({ row, cold: false }, names));
  expect(measured.cells.get("ours")).toMatchObject({ kind: "times", rounds: [2, 4, 3], error: 0, notes: [] });
  expect(measured.cells.get("jax-js")).toMatchObject({
    kind: "times",
    rounds: [8, 6, 7],
    notes: ["wrong result, NaN or of another shape"],
  });
  expect(measured.cells.get("tfjs-webgpu")).toEqual({ kind: "failed", reason: "no such op" });
  expect(measured.cells.get("ort-webgpu")).toEqual({ kind: "cannot" });

  const report = makeReport({
    about: new Map(),
    machine,
    ceilings: {},
    measured: [measured],
    threads: null,
    peers: ["jax-js", "tfjs-webgpu", "ort-webgpu"],
    native: [],
  });
  expect(report.rows[0]).toMatchObject({
    ours: 3,
    peers: { "jax-js": 7 },
    ratio: 2.333,
    failures: { "tfjs-webgpu": "no such op" },
  });
});

it("goes on when a contender's process crashes, and starts it again for the next row", async () => {
  vi.stubEnv("CRASH", "jax-js");
  await withHarness(2, async (harness) => {
    const { cells } = await harness.measure({ row, cold: false }, ["ours", "jax-js"]);
    expect(cells.get("jax-js")).toEqual({
      kind: "failed",
      reason: "its process ended with exit code 7: driver: out of luck",
    });
    expect(cells.get("ours")).toMatchObject({ kind: "times", rounds: [2, 4] });
    vi.stubEnv("CRASH", "");
    const next = await harness.measure({ row, cold: false }, ["jax-js"]);
    expect(next.cells.get("jax-js")).toMatchObject({ kind: "times", rounds: [8, 6] });
  });
});

it("ends a contender that never answers", async () => {
  vi.stubEnv("HANG", "jax-js");
  const harness = new Harness({ device: {}, rounds: 1, say: () => {}, timeout: 1000, script });
  try {
    await harness.openOurs();
    const { cells } = await harness.measure({ row, cold: false }, ["jax-js"]);
    expect(cells.get("jax-js")).toEqual({ kind: "failed", reason: 'no answer to "run" in 1 s' });
  } finally {
    harness.close();
  }
});

it("measures first runs in a fresh process each", async () => {
  const { cells } = await withHarness(2, (harness) => harness.measure({ row, cold: true }, ["ours"]));
  // The stand-in adds how often it has done this before: one process would claim 100 and 101.
  expect(cells.get("ours")).toMatchObject({ kind: "times", rounds: [100, 100] });
});

it("measures another checkout as one more contender, interleaved, and says which rows it lacks", async () => {
  const earlier = { script: new URL("./fixtures/earlier.mjs", import.meta.url), commit: "old5678" };
  await withHarness(
    3,
    async (harness, said) => {
      const names = ["ours", "before", "jax-js"] as const;
      const { cells } = await harness.measure({ row, cold: false }, names);
      expect(cells.get("ours")).toMatchObject({ kind: "times", rounds: [2, 4, 3] });
      expect(cells.get("before")).toMatchObject({ kind: "times", rounds: [3, 6, 6], error: 0 });
      expect(said.slice(-3)).toEqual([1, 2, 3].map((round) => `two numbers: round ${round} of 3`));
      expect(harness.about.get("before")).toMatchObject({ version: "commit old5678", backend: "webgpu" });
      for (const cold of [false, true]) {
        const { cells } = await harness.measure({ row: { ...row, name: "a new row" }, cold }, ["ours", "before"]);
        expect(cells.get("ours")).toMatchObject({ kind: "times" });
        expect(cells.get("before")).toEqual({ kind: "cannot", reason: "no such row" });
      }
    },
    earlier,
  );
});
