/**
 * What every command is made of. The files of this folder say what a command line looks like and load what does the work when it runs,
 * so that `--help` and a mistyped flag are answered at once.
 */
import type { ProcessGroup } from "@deplsr/distributed";
import type { Argv, CommandModule } from "yargs";
import { oneLine, UsageError } from "../errors.ts";
import { SHIPPED_SRCLIP } from "../networks/shipped.ts";
import type { Output } from "../output.ts";
import type { Job, Processes } from "../ranks/job.ts";

/** What a command gets besides its arguments. */
export interface Context {
  readonly output: Output;
}

/** The same, for commands whose work several processes may share. */
export interface SharedContext extends Context {
  /** This process among them; one that is alone knows no MPI. */
  readonly group: ProcessGroup;
}

/** A command before it is bound to a job. */
export interface Command<Options> {
  /** Name and positional arguments, `degrade <images..>`. */
  readonly command: string;
  readonly describe: string;
  readonly options: (yargs: Argv) => Argv<Options>;
  readonly processes?: Processes;
  /** Does the work; an error it throws becomes the command's failure. */
  readonly run: (args: Options, context: SharedContext) => Promise<void>;
}

/**
 * A command as yargs wants it.
 *
 * @param parents the words that stand before it on the command line, `train`
 */
export function bind<Options>(
  command: Command<Options>,
  job: Job,
  ...parents: readonly string[]
): CommandModule<object, Options> {
  const [name = "$0"] = command.command.split(" ");
  const words = name === "$0" ? parents : [...parents, name];
  return {
    command: command.command,
    describe: command.describe,
    builder: (yargs) => pointingToHelp(command.options(yargs), ...words),
    // yargs adds `_` and `$0` and camelCase spellings to what was declared; the declared part is what a command sees.
    handler: (args) =>
      job.run(words.join(" "), command.processes, process.argv.slice(2), (group) =>
        command.run(unshielded(args) as unknown as Options, { output: job.output, group }),
      ),
  };
}

/** Stands before words that yargs would not pass on; no argument of a process can hold it. */
const SHIELD = "\0";

/** A command line whose `-` (stdin, stdout), and names after `--`, yargs takes for words: it drops them otherwise. */
export function shielded(argv: readonly string[]): string[] {
  const end = argv.indexOf("--");
  const [before, after] = end < 0 ? [argv, []] : [argv.slice(0, end), argv.slice(end + 1)];
  return [...before.map((word) => (word === "-" ? SHIELD + word : word)), ...after.map((word) => SHIELD + word)];
}

function unshielded(args: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const bare = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(bare);
    return typeof value === "string" && value.startsWith(SHIELD) ? value.slice(SHIELD.length) : value;
  };
  return Object.fromEntries(Object.entries(args).map(([name, value]) => [name, bare(value)]));
}

/** Makes what yargs finds wrong with a command line a UsageError that points to the help of a command. @param words the command's, `train`, `sr` */
export function pointingToHelp<T>(yargs: Argv<T>, ...words: readonly string[]): Argv<T> {
  // yargs asks the handler that came last, which is that of the innermost command.
  return yargs.fail((message, error) => {
    throw error ?? new UsageError(`${oneLine(message)} (see ${["deplsr", ...words, "--help"].join(" ")})`);
  });
}

/** The flags of commands that compute. */
export interface DeviceFlags {
  readonly backend: "auto" | "webgpu" | "cpu" | undefined;
  readonly adapter: "auto" | "hardware" | "system" | "swiftshader" | undefined;
}

/** Adds `--backend` and `--adapter`. */
export function deviceFlags<T>(yargs: Argv<T>): Argv<T & DeviceFlags> {
  return yargs
    .option("backend", {
      choices: ["auto", "webgpu", "cpu"] as const,
      describe: "What computes (also DEPLSR_BACKEND)",
    })
    .option("adapter", {
      choices: ["auto", "hardware", "system", "swiftshader"] as const,
      describe: "Which WebGPU adapter (also DEPLSR_ADAPTER)",
    });
}

/** Adds the photographs of a command. */
export function photographs<T>(yargs: Argv<T>): Argv<T & { readonly images: string[] }> {
  return yargs.positional("images", {
    type: "string",
    array: true,
    demandOption: true,
    describe: "Photographs, folders of them, patterns, or - for stdin",
  });
}

/** The flags of commands that tell what photographs show. */
export interface CaptionFlags {
  readonly root: string | undefined;
  readonly captions: string | undefined;
  readonly "caption-command": string | undefined;
  readonly "caption-timeout": number;
}

/** Adds them. */
export function captionFlags<T>(yargs: Argv<T>): Argv<T & CaptionFlags> {
  return yargs
    .option("root", { type: "string", describe: "Folder that paths in lists count from; default: the list's own" })
    .option("captions", {
      type: "string",
      describe: "A TSV or JSON file, `sidecar` (a.txt beside a.jpg), or `none`; default: what the lists say",
    })
    .option("caption-command", {
      type: "string",
      describe: "Program that prints a caption, `blip {image}`, for photographs that have none",
    })
    .option("caption-timeout", { type: "number", default: 300, describe: "Seconds that it may take for one" });
}

/** Adds `--srclip`, the one in the box by default. */
export function srclipFlag<T>(yargs: Argv<T>): Argv<T & { srclip: string }> {
  return yargs.option("srclip", {
    type: "string",
    default: SHIPPED_SRCLIP,
    describe: "The SRCLIP: a run's folder, a file, or the name of a model in the box",
  });
}
