/**
 * `npm run parity -- DIR [--only group,group] [--backend webgpu|cpu] [--adapter ...] [--browser]`: compares what this repository
 * computes with every fixture of a folder laid out like `../shared/golden`. A line per case; the last one counts. Exit code 1 when
 * anything fails, 2 for a command line that is not understood.
 */

import { parity } from "./command.ts";
import { oneLine, UsageError } from "./errors.ts";

try {
  process.exitCode = await parity(process.argv.slice(2), (line) => console.log(line));
} catch (error) {
  console.error(`parity: ${oneLine(error)}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
