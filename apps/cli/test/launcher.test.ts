import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { LAUNCHER, type Running, start } from "./commands/run-command.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** The launcher, with something else to launch. */
function launch(main: string): Running {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "bin"));
  mkdirSync(join(folder, "dist"));
  cpSync(LAUNCHER, join(folder, "bin", "deplsr.js"));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  writeFileSync(
    join(folder, "dist", "main.js"),
    `${main}\nsetInterval(() => {}, 1000);\nprocess.stderr.write("ready");`,
  );
  return start([], folder, {}, join(folder, "bin", "deplsr.js"));
}

test("what saves at a signal ends by itself, though it has saved long before", async () => {
  const running = launch(`process.send({ saves: true });
process.on("SIGUSR2", () => {
  process.send({ saves: false });
  setTimeout(() => process.exit(7), 1000);
});`);
  await running.says("ready");
  running.signal("SIGUSR2", "launcher");
  expect((await running.finished).code).toBe(7);
});

test("what does not save is ended soon", async () => {
  const running = launch(`process.on("SIGUSR2", () => setTimeout(() => process.exit(7), 10_000));`);
  await running.says("ready");
  running.signal("SIGUSR2", "launcher");
  expect((await running.finished).code).toBe(140);
});
