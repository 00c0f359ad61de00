// Runs the tests of every package; arguments go to vitest. The last line is `N passed, N failed`; exit 1 where any failed or none ran.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));
const require = createRequire(import.meta.url);
const folder = mkdtempSync(join(tmpdir(), "deplsr-test-"));
const file = join(folder, "counts.json");

/**
 * @param {string[]} args
 * @returns {number | null} the exit status
 */
function node(args) {
  const env = { ...process.env, DEPLSR_TEST_COUNTS: file };
  return spawnSync(process.execPath, args, { cwd: root, stdio: "inherit", env }).status;
}

let counts = { passed: 0, failed: 0, skipped: 0 };
let status = node([require.resolve("tsx/cli"), "--conditions", "@deplsr/source", "scripts/print-adapter.ts"]);
if (status === 0) {
  const vitest = join(dirname(require.resolve("vitest/package.json")), "vitest.mjs");
  const reporters = ["--reporter=default", "--reporter=./scripts/counting-reporter.mjs"];
  status = node([vitest, "run", ...reporters, ...process.argv.slice(2)]);
  if (existsSync(file)) counts = JSON.parse(readFileSync(file, "utf8"));
}
rmSync(folder, { recursive: true, force: true });

if (status !== 0 && counts.failed === 0) counts.failed = 1;
if (!existsSync(join(root, "..", "shared", "golden"))) {
  console.log("not run: *.reference.test.ts, whose reference numbers (../shared) are not beside this checkout");
}
if (["mpirun.openmpi", "mpirun.mpich"].every((command) => spawnSync(command, ["--version"]).error)) {
  console.log("not run: *.mpi.test.ts, jobs of several processes: neither mpirun.openmpi nor mpirun.mpich is here");
}
if (counts.skipped > 0) console.log(`${counts.skipped} skipped`);
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;
