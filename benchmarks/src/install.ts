import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = new URL("../peers/", import.meta.url);

/** Installs the peers where they are missing or older than their lock file, without running their install scripts. @throws Error with advice. */
export function installPeers(say: (line: string) => void): void {
  const lock = new URL("package-lock.json", folder);
  // npm writes this one last, so a broken install counts as none.
  const installed = new URL("node_modules/.package-lock.json", folder);
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  say("installing the peers into benchmarks/peers (about 800 MB, once)");
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
  const cwd = fileURLToPath(folder);
  const npm = process.env.npm_execpath;
  const { status, error } = npm
    ? spawnSync(process.execPath, [npm, ...args], { cwd, stdio: ["ignore", 2, 2] })
    : spawnSync(`npm ${args.join(" ")}`, { cwd, stdio: ["ignore", 2, 2], shell: true });
  if (status !== 0) {
    const why = error ? ` (${error.message})` : "";
    throw new Error(
      `npm ci in benchmarks/peers failed${why}; without a registry, measure ours alone with --peers none`,
    );
  }
}
