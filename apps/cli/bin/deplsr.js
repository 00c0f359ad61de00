#!/usr/bin/env node
// A published package has a build and runs it. A checkout runs its sources, so that no command is ever older than the code beside it.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { fileURLToPath, pathToFileURL } from "node:url";

const checkout = existsSync(new URL("../tsconfig.json", import.meta.url));

if (!checkout) {
  await import("../dist/main.js");
} else {
  const loader = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
  const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));
  const command = ["--conditions", "@deplsr/source", "--import", loader, main, ...process.argv.slice(2)];
  // By the channel the child learns when this process is gone, killed perhaps, and ends as well.
  const child = spawn(process.execPath, command, { stdio: ["inherit", "inherit", "inherit", "ipc"] });
  // A terminal sends Ctrl-C to both; without one, whoever signals may mean only this process. The child saves and ends by itself.
  const terminal = process.stdin.isTTY || process.stdout.isTTY;
  process.on("SIGINT", () => terminal || child.kill("SIGINT"));
  for (const signal of /** @type {const} */ (["SIGTERM", "SIGHUP"])) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => {
    process.exit(code ?? 128 + (signal ? constants.signals[signal] : 0));
  });
}
