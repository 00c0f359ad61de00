/** The `deplsr` command. */
import yargs from "yargs";
import { hideBin } from "yargs/helpers";
import { captions } from "./commands/captions.ts";
import { classify } from "./commands/classify.ts";
import { bind, pointingToHelp, shielded } from "./commands/command.ts";
import { convert } from "./commands/convert.ts";
import { degrade } from "./commands/degrade.ts";
import { demo } from "./commands/demo.ts";
import { diagnose } from "./commands/diagnose.ts";
import { doctor } from "./commands/doctor.ts";
import { evaluate } from "./commands/evaluate.ts";
import { extract } from "./commands/extract.ts";
import { inspect } from "./commands/inspect.ts";
import { iqa } from "./commands/iqa.ts";
import { models } from "./commands/models.ts";
import { test } from "./commands/test.ts";
import { train } from "./commands/train.ts";
import { withLongOpt } from "./commands/train-flags.ts";
import { upscale } from "./commands/upscale.ts";
import { visualize } from "./commands/visualize.ts";
import { exitCode, oneLine, UsageError } from "./errors.ts";
import { leaveAtOnce } from "./files.ts";
import { Output, type OutputForm } from "./output.ts";
import { Job } from "./ranks/job.ts";

const DESCRIPTION = "Restores and upscales photographs, and trains the networks that do it.";

async function main(argv: readonly string[]): Promise<number> {
  const form: OutputForm = argv.includes("--jsonl") ? "jsonl" : argv.includes("--json") ? "json" : "text";
  let job: Job | undefined;
  try {
    job = new Job(form, process.env);
    // One process shows the help.
    if (job.rank > 0 && (argv.includes("--help") || argv.includes("--version"))) return 0;
    await pointingToHelp(yargs(shielded(argv[0] === "train" || argv[0] === "test" ? withLongOpt(argv) : argv)))
      .scriptName("deplsr")
      .usage(`${DESCRIPTION}\n\nUsage: $0 <command> [options]`)
      .command(bind(doctor, job))
      .command(bind(degrade, job))
      .command(captions(job))
      .command(bind(extract, job))
      .command(train(job))
      .command(bind(evaluate, job))
      .command(bind(diagnose, job))
      .command(bind(classify, job))
      .command(visualize(job))
      .command(bind(upscale, job))
      .command(bind(test, job))
      .command(iqa(job))
      .command(bind(convert, job))
      .command(bind(inspect, job))
      .command(bind(models, job))
      .command(bind(demo, job))
      .option("json", { type: "boolean", default: false, describe: "One JSON object on stdout, logs on stderr" })
      .demandCommand(1, "say what to do: give a command")
      .check(onlyOnce)
      .strict()
      .wrap(Math.min(110, process.stdout.columns ?? 110))
      .exitProcess(false)
      .showHelpOnFail(false)
      .parseAsync();
    // A training that was asked to stop ends well, and says so.
    return await job.close(Number(process.exitCode ?? 0));
  } catch (error) {
    if (process.env.DEPLSR_DEBUG !== undefined && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    if (job !== undefined) return job.fail(error);
    new Output(form).failure(oneLine(error));
    return exitCode(error);
  }
}

/** Refuses a flag that is given twice where one value is wanted; yargs makes a list of them. */
function onlyOnce(args: Record<string, unknown>, declared: unknown): true {
  // yargs passes what was declared, which its types do not tell.
  const { array } = declared as { readonly array: readonly string[] };
  // A list stands there under all its spellings: a-b, a_b, aB.
  const plain = (name: string): string => name.replace(/[-_]/g, "").toLowerCase();
  const lists = array.map(plain);
  for (const [name, value] of Object.entries(args)) {
    if (name === "_" || !Array.isArray(value) || lists.includes(plain(name))) continue;
    throw new UsageError(`--${name} is given ${value.length} times: give it once`);
  }
  return true;
}

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // The reader of a pipe (`deplsr ... | head`) has seen enough.
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR2"] as const) {
  // A training listens for itself; everything else leaves at once, temporary files first.
  process.on(signal, () => {
    if (process.listenerCount(signal) === 1) void leaveAtOnce(signal);
  });
}

// Started by a launcher (bin/deplsr.js), which was killed: what is done without it would go on unseen.
process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
process.channel?.unref();

const code = await main(hideBin(process.argv));
// What was printed must reach its reader before the process ends; a driver's threads would otherwise keep it alive.
process.stdout.write("", () => process.stderr.write("", () => process.exit(code)));
