#!/usr/bin/env node
// Launches the command in a process of its own and stays free for signals: a process that computes hears of them late. A published package has a
// build and runs it. A checkout runs its sources, so that no command is ever older than the code beside it.
import { spawn } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { constants, hostname } from "node:os";
import { fileURLToPath, pathToFileURL } from "node:url";

/** What is not over by then is ended, unless it saves. */
const PATIENCE_MS = 300;

const checkout = existsSync(new URL("../tsconfig.json", import.meta.url));
const main = fileURLToPath(new URL(checkout ? "../src/main.ts" : "../dist/main.js", import.meta.url));
const options = checkout
  ? ["--conditions", "@deplsr/source", "--import", pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href]
  : [];
// The file by which MPICH's mpirun and Slurm talk to what they start goes on to the child, under another number.
const talk = process.env.PMI_FD;
// By the channel the child learns when this process is gone, killed perhaps, and ends as well; and this one what src/launcher.ts tells.
const child = spawn(process.execPath, [...process.execArgv, ...options, main, ...process.argv.slice(2)], {
  stdio: ["inherit", "inherit", "inherit", "ipc", ...(talk ? [Number(talk)] : [])],
  env: { ...process.env, ...(talk ? { PMI_FD: "4" } : {}), DEPLSR_LAUNCHER: String(process.pid) },
});

/** @type {Set<string>} */
const temporaries = new Set();
let saves = false;
child.on("message", (/** @type {Partial<Record<string, unknown>>} */ message) => {
  if (typeof message.temporary === "string") temporaries.add(message.temporary);
  if (typeof message.settled === "string") temporaries.delete(message.settled);
  if (typeof message.saves === "boolean") saves = message.saves;
});

/** @type {NodeJS.Signals | undefined} */
let ended;

/** @param {NodeJS.Signals} signal */
function endUnlessSaving(signal) {
  // It has the signal itself, and what it does then may be over soon: another process of its job may still write.
  if (saves) return;
  setTimeout(() => {
    if (saves) return;
    ended = signal;
    child.kill("SIGKILL");
  }, PATIENCE_MS).unref();
}

// A terminal sends Ctrl-C to both; without one, whoever signals may mean only this process.
const terminal = process.stdin.isTTY || process.stdout.isTTY;
for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR2"])) {
  process.on(signal, () => {
    if (signal !== "SIGINT" || !terminal) child.kill(signal);
    endUnlessSaving(signal);
  });
}

child.on("exit", (code, signal) => {
  const reason = ended ?? signal;
  if (reason) for (const path of temporaries) rmSync(path, { recursive: true, force: true });
  const { OMPI_COMM_WORLD_RANK: open, PMIX_RANK: pmix, PMI_RANK: pmi } = process.env;
  const rank = Number(open ?? pmix ?? pmi ?? 0);
  if (signal === "SIGKILL" && !ended)
    process.stderr.write(
      `${rank > 0 ? `rank ${rank} (${hostname()}): ` : ""}error: the system ended this (SIGKILL), as it does where memory runs out: ask for smaller tiles, batches or photographs\n`,
    );
  process.exit(reason ? 128 + constants.signals[reason] : (code ?? 1));
});
