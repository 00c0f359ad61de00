/**
 * `npm run parity -- DIR [--only group,group] [--backend webgpu|cpu] [--adapter ...] [--browser]`: compares what this repository
 * computes with every fixture of a folder laid out like `../shared/golden`. A line per case; the last one counts. Exit code 1 when
 * anything fails, 2 for a command line that is not understood.
 */
import { exitCode, oneLine } from "../errors.ts";
import { parity } from "./command.ts";

try {
  process.exitCode = await parity(process.argv.slice(2), (line) => console.log(line));
} catch (error) {
  console.error(`parity: ${oneLine(error)}`);
  process.exitCode = exitCode(error);
}
