import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { latestCheckpoint, RunFolder } from "../src/run-folder.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const NOW = new Date("2025-01-31T23:59:59Z");

test("a run folder holds its configuration, log, metrics and checkpoints", async () => {
  const path = join(temporaryFolder(), "runs", "a");
  const run = await RunFolder.open(path, { config: "name: a\n", now: NOW });
  run.log("started", NOW);
  run.metrics([
    { step: 1, loss: 2.5 },
    { step: 2, loss: 2 },
  ]);
  await run.saveCheckpoint(
    2,
    new Map<string, string | Uint8Array>([
      ["model.safetensors", Uint8Array.of(1)],
      ["state.json", "{}"],
    ]),
  );
  run.close();
  expect(readdirSync(path).sort()).toEqual(["checkpoints", "config.yml", "log.txt", "metrics.jsonl"]);
  expect(readFileSync(join(path, "log.txt"), "utf8")).toBe("2025-01-31T23:59:59.000Z started\n");
  expect(readFileSync(join(path, "metrics.jsonl"), "utf8")).toBe('{"step":1,"loss":2.5}\n{"step":2,"loss":2}\n');
  expect(readdirSync(join(path, "checkpoints"))).toEqual(["step-2"]);
  expect(readdirSync(run.checkpointPath(2)).sort()).toEqual(["model.safetensors", "state.json"]);
});

describe("a path where something stands", () => {
  const opening = { config: "name: a\n", now: NOW };

  test("is refused, and left as it is, where that is no run", async () => {
    const root = temporaryFolder();
    writeFileSync(join(root, "a file"), "x");
    writeFileSync(join(root, "thesis.txt"), "x");
    for (const path of [root, join(root, "a file")]) {
      for (const options of [{}, { overwrite: true }, { resume: true }]) {
        await expect(RunFolder.open(path, { ...opening, ...options })).rejects.toThrow(
          `train: ${path} holds something that is no training run: choose another --out`,
        );
      }
    }
    expect(readdirSync(root).sort()).toEqual(["a file", "thesis.txt"]);
    mkdirSync(join(root, "empty"));
    (await RunFolder.open(join(root, "empty"), opening)).close();
  });

  test("is refused where it is a run, unless that goes on or is kept under another name", async () => {
    const path = join(temporaryFolder(), "a");
    const first = await RunFolder.open(path, opening);
    await first.saveCheckpoint(3, new Map([["model.safetensors", "3"]]));
    first.close();
    await expect(RunFolder.open(path, opening)).rejects.toThrow(
      `train: ${path} holds a run (up to checkpoints/step-3): --resume goes on with it, --overwrite begins anew`,
    );
    const said: string[] = [];
    (
      await RunFolder.open(path, { ...opening, config: "second\n", overwrite: true, say: (line) => said.push(line) })
    ).close();
    const archive = `${path}_archived_20250131_235959`;
    expect(said).toEqual([`the run that stood in ${path} is now in ${archive}`]);
    expect(readFileSync(join(path, "config.yml"), "utf8")).toBe("second\n");
    expect(readdirSync(archive).sort()).toEqual(["checkpoints", "config.yml"]);
    // A run that goes on from a checkpoint of another one does not take the place of a third.
    const from = join(archive, "checkpoints", "step-3");
    await expect(RunFolder.open(path, { ...opening, resume: true, from })).rejects.toThrow("holds a run");
  });

  test("is refused while a training is at work in it, by its process and host", async () => {
    const path = join(temporaryFolder(), "a");
    const run = await RunFolder.open(path, opening);
    for (const options of [{}, { overwrite: true }, { resume: true }]) {
      const message = options.overwrite || options.resume ? `process ${process.pid} on ${hostname()}` : "holds a run";
      await expect(RunFolder.open(path, { ...opening, ...options })).rejects.toThrow(message);
    }
    run.close();
    expect(readdirSync(path)).not.toContain("lock.json");
  });

  test("whose training is gone is taken over by one of those who try, and of another host is believed", async () => {
    const path = join(temporaryFolder(), "a");
    (await RunFolder.open(path, opening)).close();
    const lock = join(path, "lock.json");
    // No process has this number, or this one began at another time.
    for (const holder of [
      { pid: 2 ** 22 + 1, host: hostname(), since: "then", began: null },
      { pid: process.pid, host: hostname(), since: "then", began: "1" },
    ]) {
      writeFileSync(lock, JSON.stringify(holder));
      const tries = await Promise.allSettled(
        Array.from({ length: 5 }, () => RunFolder.open(path, { ...opening, resume: true })),
      );
      const open = tries.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
      expect(open.length).toBe(1);
      open[0]!.close();
    }
    for (const text of ["", "{", "[]"]) {
      writeFileSync(lock, text);
      (await RunFolder.open(path, { ...opening, resume: true })).close();
    }
    writeFileSync(lock, JSON.stringify({ pid: 1, host: "elsewhere", since: "then", began: null }));
    await expect(RunFolder.open(path, { ...opening, resume: true })).rejects.toThrow("process 1 on elsewhere");
  });
});

describe("a run that goes on", () => {
  test("has its logs cut to the step, later checkpoints set aside, and leftovers of a killed process removed", async () => {
    const path = join(temporaryFolder(), "a");
    const opening = { config: "", now: NOW };
    const first = await RunFolder.open(path, opening);
    for (const step of [2, 4, 6]) {
      await first.saveCheckpoint(
        step,
        new Map([
          ["model.safetensors", `${step}`],
          ["state.json", JSON.stringify({ step })],
        ]),
      );
    }
    first.metrics([1, 2, 3, 4, 5].map((step) => ({ step, loss: 1 / step })));
    for (const line of [
      "deplsr 0.1.0",
      "step 2/6 lr 1",
      "[a..][epoch:  0, iter:       4, lr:(1,)] l: 1",
      "step 5/6 lr 1",
      "end",
    ])
      first.log(line, NOW);
    appendFileSync(join(path, "metrics.jsonl"), '{"step":6,"lo');
    first.close();
    mkdirSync(join(path, "checkpoints", `.step-8.${2 ** 22 + 1}-1.tmp`));
    const said: string[] = [];
    const from = join(path, "checkpoints", "step-4");
    const run = await RunFolder.open(path, { ...opening, resume: true, from, say: (line) => said.push(line) });
    run.close();
    const lines = (name: string): string[] => readFileSync(join(path, name), "utf8").trimEnd().split("\n");
    expect(lines("metrics.jsonl").map((line) => JSON.parse(line).step)).toEqual([1, 2, 3, 4]);
    expect(lines("log.txt").map((line) => line.slice(25))).toEqual([
      "deplsr 0.1.0",
      "step 2/6 lr 1",
      "[a..][epoch:  0, iter:       4, lr:(1,)] l: 1",
    ]);
    expect(readdirSync(join(path, "checkpoints")).sort()).toEqual([
      "step-2",
      "step-4",
      "step-6_archived_20250131_235959",
    ]);
    expect(said.length).toBe(1);
  });

  test("keeps the latest checkpoints and those of every so many steps", async () => {
    const path = join(temporaryFolder(), "a");
    const run = await RunFolder.open(path, { config: "", now: NOW });
    const names = (): string[] => readdirSync(join(path, "checkpoints"));
    for (const step of [5, 10, 15, 20, 25]) await run.saveCheckpoint(step, new Map([["model.safetensors", ""]]));
    await run.prune({ last: null, every: null });
    expect(names().length).toBe(5);
    await run.prune({ last: null, every: null, regular: 25 });
    expect(names()).toEqual(["step-25"]);
    for (const step of [5, 10, 15, 20, 30]) await run.saveCheckpoint(step, new Map([["model.safetensors", ""]]));
    await run.prune({ last: 2, every: null, regular: 10 });
    expect(names().sort()).toEqual(["step-20", "step-30"]);
    for (const step of [5, 10, 15, 25]) await run.saveCheckpoint(step, new Map([["model.safetensors", ""]]));
    rmSync(join(path, "checkpoints", "step-30"), { recursive: true });
    await run.prune({ last: 2, every: 10 });
    expect(names().sort()).toEqual(["step-10", "step-20", "step-25"]);
    await run.prune({ last: 0, every: null });
    expect(names()).toEqual(["step-25"]);
    run.close();
  });

  test("goes on where a log cannot be written, and says so once", async () => {
    const path = join(temporaryFolder(), "a");
    const said: string[] = [];
    const run = await RunFolder.open(path, { config: "", now: NOW, say: (line) => said.push(line) });
    mkdirSync(join(path, "log.txt"));
    run.log("one", NOW);
    run.log("two", NOW);
    run.metrics([{ step: 1 }]);
    expect(said).toEqual([
      expect.stringMatching(/log\.txt cannot be written \(.*\): the training goes on without it$/),
    ]);
    run.close();
  });
});

test("latestCheckpoint takes the one with the largest number, or the folder that is one itself", async () => {
  const root = temporaryFolder();
  for (const step of [5, 10, 9]) mkdirSync(join(root, "checkpoints", `step-${step}`), { recursive: true });
  mkdirSync(join(root, "checkpoints", ".step-11.99-1.tmp"));
  expect(await latestCheckpoint(root)).toBe(join(root, "checkpoints", "step-10"));
  writeFileSync(join(root, "checkpoints", "step-9", "model.safetensors"), "");
  expect(await latestCheckpoint(join(root, "checkpoints", "step-9"))).toBe(join(root, "checkpoints", "step-9"));
});

test("a folder without checkpoints says so", async () => {
  const root = temporaryFolder();
  await expect(latestCheckpoint(root)).rejects.toThrow(
    `checkpoint: ${root} is neither a run folder nor a checkpoint folder`,
  );
  mkdirSync(join(root, "checkpoints"));
  await expect(latestCheckpoint(root)).rejects.toThrow("holds no step-N folder: train first");
});
