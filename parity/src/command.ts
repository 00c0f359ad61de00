/** The command of `npm run parity`: compares what this repository computes with every fixture of a folder. */
import { parseArgs } from "node:util";
import { diskFolder } from "./disk.ts";
import { oneLine, UsageError } from "./errors.ts";
import { compareFolder } from "./session.ts";

const USAGE = `Usage: npm run parity -- DIR [options]

Compares this repository's results with the stored ones of a reference implementation.

  --only GROUP,...     only these groups, e.g. ops,optim
  --backend NAME       auto, webgpu or cpu
  --adapter NAME       auto, hardware, system or swiftshader
  --browser            in a page of headless Chromium instead of Node (Linux on x64)
  --help               this text

Examples: npm run parity -- ../shared/golden --only ops --adapter system
          npm run parity -- ../shared/golden --browser --backend webgpu`;

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
  const [name, ...rest] = positionals;
  if (name === undefined) throw new UsageError("which folder? npm run parity -- DIR, e.g. ../shared/golden");
  if (rest.length > 0) throw new UsageError(`one folder at a time: ${rest.join(" ")} is too much`);
  const backend = choice("backend", values.backend, BACKENDS);
  const adapter = choice("adapter", values.adapter, ADAPTERS);
  const groups = values.only?.split(",").map((group) => group.trim());
  const selection = { ...(backend && { backend }), ...(adapter && { adapter }), ...(groups && { groups }) };
  const folder = await diskFolder(name);
  if (!values.browser) return await compareFolder(folder, selection, print);
  const { compareInBrowser } = await import("./browser.ts");
  return await compareInBrowser(folder, selection, print);
}

interface CommandLine {
  readonly values: {
    readonly only?: string;
    readonly backend?: string;
    readonly adapter?: string;
    readonly browser?: boolean;
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
        browser: { type: "boolean" },
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
