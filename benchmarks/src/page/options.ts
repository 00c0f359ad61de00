/** The command line of `npm run bench:page`. */
import { parseArgs } from "node:util";

/** A command line that is not understood. */
export class UsageError extends Error {}

/** What can be measured. */
export const PARTS = ["visit", "compare", "gpu", "memory"] as const;
export type Part = (typeof PARTS)[number];

/** What the command line asks for. */
export interface PageOptions {
  readonly photo: string;
  readonly parts: readonly Part[];
  /** Where the peers are installed; null for none, undefined where they are installed by default. */
  readonly peers: string | null | undefined;
  readonly help: boolean;
}

export const usage = `npm run bench:page -- [PHOTO] [options]: the page in headless Chromium

  PHOTO                a photo of a megapixel or more (default ../shared/data/city100/nikon/010H.png)
  --parts NAME,NAME    some of ${PARTS.join(", ")} (default all)
  --peers-folder DIR   where UpscalerJS is installed, or none (default benchmarks/peers, installed when it is not there)`;

/** Reads the command line. @throws UsageError that names what is wrong */
export function parseOptions(args: readonly string[]): PageOptions {
  const { values, positionals } = parse(args);
  if (positionals.length > 1) throw new UsageError(`one photo is taken, got ${positionals.join(" and ")}`);
  const names = values.parts?.split(",").map((name) => name.trim()) ?? PARTS;
  const parts = names.map((name) => {
    const part = PARTS.find((part) => part === name);
    if (part === undefined) throw new UsageError(`--parts: "${name}" is none of ${PARTS.join(", ")}`);
    return part;
  });
  const peers = values["peers-folder"];
  return {
    photo: positionals[0] ?? "../shared/data/city100/nikon/010H.png",
    parts,
    peers: peers === "none" ? null : peers,
    help: values.help,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        parts: { type: "string" },
        "peers-folder": { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message.split("\n", 1)[0]);
  }
}
