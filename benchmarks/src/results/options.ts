/** The command line of `npm run results`. */
import { parseArgs } from "node:util";
import { SHIPPED } from "./enlargers.ts";
import { TEST_SETS } from "./sets.ts";

/** A command line that is not understood. */
export class UsageError extends Error {}

/** What is measured besides the sets. */
export const PARTS = ["chart", "tiles", "recognition", "time"] as const;

/** What the command line asks for. */
export interface ResultsOptions {
  /** Folder of the test sets. */
  readonly folder: string;
  /** Names of models in the box, or run folders and files. */
  readonly models: readonly string[];
  readonly srclip: string;
  /** Names of sets and parts. */
  readonly parts: readonly string[];
  /** Images of each set. */
  readonly limit: number;
  /** Largest side of the originals. */
  readonly side: number;
  /** Where the peers are installed; null for none, undefined where they are installed by default. */
  readonly peers: string | null | undefined;
  readonly out: string;
  readonly help: boolean;
}

const ALL = [...Object.keys(TEST_SETS), ...PARTS];

export const usage = `npm run results -- [FOLDER] [options]: how good the models are, into docs/results.md

  FOLDER               the test sets (default ../shared/data): set5, bsd100, urban100, kodak, city100, real_lr; what is missing is left out
  --model NAME         a model in the box, a run folder or a file of weights; may be given more than once (default: ${SHIPPED.join(", ")})
  --srclip NAME        the SRCLIP that is tested and that files of weights are steered by (default srclip)
  --sets NAME,NAME     some of ${ALL.join(", ")}
  --limit N            only the first N images of each set, for trying
  --side N             the middle N x N pixels of each image, but for Set5 (default 288)
  --peers-folder DIR   where UpscalerJS is installed, or none (default benchmarks/peers, installed when it is not there)
  --out FILE           the page (default docs/results.md); a .json with every number is written beside benchmarks' other results`;

/** Reads the command line. @param root the repository @throws UsageError that names what is wrong */
export function parseOptions(args: readonly string[]): ResultsOptions {
  const { values, positionals } = parse(args);
  if (positionals.length > 1)
    throw new UsageError(`one folder of test sets is taken, got ${positionals.join(" and ")}`);
  const parts = values.sets?.split(",").map((name) => name.trim()) ?? ALL;
  const unknown = parts.find((name) => !ALL.includes(name));
  if (unknown !== undefined) throw new UsageError(`--sets: "${unknown}" is none of ${ALL.join(", ")}`);
  const peers = values["peers-folder"];
  return {
    folder: positionals[0] ?? "../shared/data",
    models: values.model ?? SHIPPED,
    srclip: values.srclip,
    parts,
    limit: values.limit === undefined ? Number.POSITIVE_INFINITY : whole("limit", values.limit, 1),
    side: whole("side", values.side, 16),
    peers: peers === "none" ? null : peers,
    out: values.out,
    help: values.help,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        model: { type: "string", multiple: true },
        srclip: { type: "string", default: "srclip" },
        sets: { type: "string" },
        limit: { type: "string" },
        side: { type: "string", default: "288" },
        "peers-folder": { type: "string" },
        out: { type: "string", default: "docs/results.md" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function whole(option: string, value: string, least: number): number {
  const number = Number(value);
  if (Number.isInteger(number) && number >= least) return number;
  throw new UsageError(`--${option} takes a whole number from ${least} on, got ${value}`);
}
