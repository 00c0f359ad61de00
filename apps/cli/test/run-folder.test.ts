import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { latestCheckpoint, RunFolder, timeStamp } from "../src/run-folder.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const NOW = new Date("2025-01-31T23:59:59Z");

test("a run folder holds its configuration, log, metrics and checkpoints", async () => {
  const path = join(temporaryFolder(), "runs", "a");
  const run = await RunFolder.create(path, "name: a\n", NOW);
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
  expect(readdirSync(path).sort()).toEqual(["checkpoints", "config.yml", "log.txt", "metrics.jsonl"]);
  expect(readFileSync(join(path, "log.txt"), "utf8")).toBe("2025-01-31T23:59:59.000Z started\n");
  expect(readFileSync(join(path, "metrics.jsonl"), "utf8")).toBe('{"step":1,"loss":2.5}\n{"step":2,"loss":2}\n');
  expect(readdirSync(join(path, "checkpoints"))).toEqual(["step-2"]);
  expect(readdirSync(run.checkpointPath(2)).sort()).toEqual(["model.safetensors", "state.json"]);
});

test("an earlier run of the same name is kept under another one", async () => {
  const root = temporaryFolder();
  await RunFolder.create(join(root, "a"), "first\n", NOW);
  await RunFolder.create(join(root, "a"), "second\n", NOW);
  expect(readdirSync(root).sort()).toEqual(["a", "a_archived_20250131_235959"]);
  expect(readFileSync(join(root, "a", "config.yml"), "utf8")).toBe("second\n");
  expect(timeStamp(NOW)).toBe("20250131_235959");
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
