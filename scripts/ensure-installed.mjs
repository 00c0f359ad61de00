// Installs the dependencies where they are missing or older than the lock file. Runs before anything is installed: it needs none itself.
import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = new URL("../", import.meta.url);
const lock = new URL("package-lock.json", root);
// npm writes this one last, so a broken install counts as none.
const installed = new URL("node_modules/.package-lock.json", root);

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`deplsr needs Node 20.19 or later, and this is ${process.versions.node}: https://nodejs.org`);
  process.exit(1);
}

if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
  const why = existsSync(installed) ? "the lock file is newer than what is installed" : "nothing is installed yet";
  console.error(`${why}: running npm ci, which takes about half a minute`);
  const npm = process.env.npm_execpath;
  const cwd = fileURLToPath(root);
  const { status, error } = npm
    ? spawnSync(process.execPath, [npm, "ci"], { cwd, stdio: ["ignore", process.stderr, process.stderr] })
    : spawnSync("npm ci", { cwd, stdio: ["ignore", process.stderr, process.stderr], shell: true });
  if (status !== 0) {
    console.error(
      `npm ci failed${error ? ` (${error.message})` : ""}: see the lines above; it needs a package registry and 500 MB`,
    );
    process.exit(1);
  }
}
