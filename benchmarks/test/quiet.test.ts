import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { isQuietAsked } from "../src/quiet.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "quiet-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

it("is asked for by a process until it ends, however it ends", async () => {
  expect(isQuietAsked(folder)).toBe(false);
  const code = `import(${JSON.stringify(pathToFileURL(join(import.meta.dirname, "../src/quiet.ts")).href)})
    .then(({ askForQuiet }) => askForQuiet(${JSON.stringify(folder)}))
    .then(() => process.stdout.write("asked"), (error) => { process.stderr.write(String(error)); process.exit(1); });
  setInterval(() => {}, 1000); process.on("SIGTERM", () => process.exit(0));`;
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    const process_ = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), "--eval", code]);
    await new Promise((asked) => process_.stdout.once("data", asked));
    expect(isQuietAsked(folder)).toBe(true);
    const ended = new Promise((end) => process_.once("exit", end));
    process_.kill(signal);
    await ended;
    expect(existsSync(join(folder, `deplsr-measures-${process_.pid}`))).toBe(signal === "SIGKILL");
    expect(isQuietAsked(folder)).toBe(false);
    expect(readdirSync(folder)).toEqual([]);
  }
});

it("is not asked for by what only has such a name", () => {
  const { pid } = spawnSync(process.execPath, ["--version"]); // of a process that has ended
  for (const name of [`deplsr-measures-${pid}`, `other-deplsr-measures-${process.pid}`, "deplsr-measures-"]) {
    writeFileSync(join(folder, name), "");
  }
  expect(isQuietAsked(folder)).toBe(false);
  expect(readdirSync(folder).sort()).toEqual(["deplsr-measures-", `other-deplsr-measures-${process.pid}`]);
});
