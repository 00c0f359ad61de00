/** The command of `npm run parity`: compares what this repository computes with every fixture of a folder. */
import { parseArgs } from "node:util";
import { Device } from "@deplsr/tensor";
import { oneLine, UsageError } from "../errors.ts";
import { loadFixtures } from "./fixture.ts";
import { formatResult, runFixture } from "./run.ts";

const USAGE = `Usage: npm run parity -- DIR [options]

Compares this repository's results with the stored ones of a reference implementation.

  --only GROUP,...     only these groups, e.g. ops,optim
  --backend NAME       auto, webgpu or cpu
  --adapter NAME       auto, hardware, system or swiftshader
  --help               this text

Example: npm run parity -- ../shared/golden --only ops --adapter system`;

const BACKENDS = ["auto", "webgpu", "cpu"] as const;
const ADAPTERS = ["auto", "hardware", "system", "swiftshader"] as const;

/**
 * Runs the command: a line that says on which adapter, a line per case, and the counts.
 *
 * @param args the command line after the program's name
 * @returns the exit code: 1 when anything failed. Throws a `UsageError` or `UserError` where there is nothing to run.
 */
export async function parity(args: readonly string[], print: (line: string) => void): Promise<number> {
  const { values, positionals } = parseCommandLine(args);
  if (values.help) {
    print(USAGE);
    return 0;
  }
  const [folder, ...rest] = positionals;
  if (folder === undefined) throw new UsageError("which folder? npm run parity -- DIR, e.g. ../shared/golden");
  if (rest.length > 0) throw new UsageError(`one folder at a time: ${rest.join(" ")} is too much`);
  const backend = choice("backend", values.backend, BACKENDS);
  const adapter = choice("adapter", values.adapter, ADAPTERS);
  const groups = values.only?.split(",").map((group) => group.trim());
  const unseen = new Set(groups);
  const fixtures = loadFixtures(folder);
  // Before a device is asked for: a wrong folder needs none to be told.
  let next = await fixtures.next();
  const device = await Device.request({ ...(backend && { backend }), ...(adapter && { adapter }) });
  const counts = { passed: 0, failed: 0 };
  try {
    print(`${device.info.backend} on ${device.info.adapter} (${device.info.kind}; ${device.info.reason})`);
    for (; !next.done; next = await fixtures.next()) {
      const fixture = next.value;
      // A broken file whose group nobody can tell belongs to every selection.
      if (groups && fixture.group !== null && !groups.includes(fixture.group)) continue;
      if (fixture.group !== null) unseen.delete(fixture.group);
      for await (const result of runFixture(fixture, device)) {
        counts[result.pass ? "passed" : "failed"]++;
        print(formatResult(result));
      }
    }
  } finally {
    device.destroy();
  }
  for (const group of unseen) {
    counts.failed++;
    print(`FAIL  ${folder} holds no fixture of the group "${group}"`);
  }
  print(`${counts.passed} passed, ${counts.failed} failed`);
  return counts.failed > 0 ? 1 : 0;
}

interface CommandLine {
  readonly values: {
    readonly only?: string;
    readonly backend?: string;
    readonly adapter?: string;
    readonly help?: boolean;
  };
  readonly positionals: readonly string[];
}

function parseCommandLine(args: readonly string[]): CommandLine {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        only: { type: "string" },
        backend: { type: "string" },
        adapter: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new UsageError(`${oneLine(error)} (npm run parity -- --help shows the options)`);
  }
}

function choice<const Word extends string>(
  name: string,
  value: string | undefined,
  words: readonly Word[],
): Word | undefined {
  if (value === undefined) return undefined;
  const found = words.find((word) => word === value);
  if (found === undefined) throw new UsageError(`--${name} ${value}: one of ${words.join(", ")} is expected`);
  return found;
}
