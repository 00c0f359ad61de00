/** `npm run bench`: measures the rows and prints the table; see README.md. Exit 0 done, 1 ours failed somewhere, 2 wrong usage. */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Checkout, openCheckout } from "./checkout.ts";
import { type ContenderName, rivals } from "./contender.ts";
import { Harness, type Measured } from "./harness.ts";
import { installPeers } from "./install.ts";
import { jobName, planJobs } from "./jobs.ts";
import { describeMachine } from "./machine.ts";
import { type Options, parseOptions, UsageError, usage } from "./options.ts";
import { askForQuiet } from "./quiet.ts";
import { formatTable, makeReport, type Report } from "./report.ts";
import { loadRows } from "./rows.ts";

async function main(options: Options): Promise<number> {
  askForQuiet();
  const jobs = planJobs(await loadRows(), options);
  const against = options.against === undefined ? undefined : checkout(options.against);
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  if (options.peers?.length !== 0) installPeers(say);
  const harness = new Harness({ device: options.device, rounds: options.rounds, say, ...(against && { against }) });
  const stop = (): void => {
    harness.close();
    process.exit(130);
  };
  process.once("SIGINT", stop).once("SIGTERM", stop);
  try {
    const ours = await harness.openOurs();
    const { peers, native } = rivals(ours.backend);
    const names: ContenderName[] = [
      "ours",
      ...(against ? ["before" as const] : []),
      ...(options.peers ?? [...peers, ...native]),
    ];
    const threads = ours.backend === "cpu" ? options.device.threads : null;
    const machine = describeMachine();
    say(`${ours.backend} on ${ours.adapter}; ${jobs.length} rows; load ${machine.load} on ${machine.cores} cores`);
    const ceilings = options.cold ? {} : await harness.ceilings();
    const measured: Measured[] = [];
    const report = (): Report =>
      makeReport({
        about: harness.about,
        machine,
        ...(against && { against: against.commit }),
        threads,
        ceilings,
        measured,
        peers,
        native,
      });
    const file = resultFile(report());
    for (const job of jobs) {
      measured.push(await harness.measure(job, names));
      // After every row, so that an interrupted run leaves what it has.
      save(report(), file);
    }
    if (options.json) process.stdout.write(`${JSON.stringify(report(), null, 2)}\n`);
    else process.stdout.write(`${formatTable(report(), measured, names, native).join("\n")}\n`);
    say(`written to ${file}`);
    const lost = jobs.filter((_, index) => measured[index]!.cells.get("ours")?.kind !== "times");
    if (lost.length > 0) say(`ours has no time for ${lost.map(jobName).join(", ")}`);
    return lost.length > 0 ? 1 : 0;
  } finally {
    harness.close();
  }
}

/** @throws UsageError where there is none */
function checkout(path: string): Checkout {
  try {
    return openCheckout(path);
  } catch (error) {
    throw new UsageError(`--against: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Every run has a file of its own, so that two can be compared. */
function resultFile({ machine, kind, threads }: Report): string {
  const folder = fileURLToPath(new URL("../results/", import.meta.url));
  mkdirSync(folder, { recursive: true });
  const date = machine.date.slice(0, 19).replaceAll(":", "-");
  const where = threads === null ? kind : `${kind}-${threads}`;
  return join(folder, `${date}-${where}-${machine.commit.replace("+", "-changed")}.json`);
}

function save(report: Report, file: string): void {
  const unfinished = `${file}.part`;
  writeFileSync(unfinished, `${JSON.stringify(report, null, 2)}\n`);
  renameSync(unfinished, file);
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) process.stdout.write(`${usage}\n`);
  else process.exitCode = await main(options);
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`bench: ${message}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
