/**
 * Measures steps and their reductions on this machine, alone and with two ranks of each MPI, into results/scaling.json; with `--reductions` these alone. With
 * `--overlap` it measures how much of a reduction is hidden behind backward instead, into results/overlap.json.
 */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { installedMpis, runJob } from "../../../scripts/mpi.ts";
import type { Measurement } from "./job.ts";
import type { Overlap } from "./overlap.ts";

const overlap = process.argv.includes("--overlap");
const RESULTS = new URL(`../../results/${overlap ? "overlap" : "scaling"}.json`, import.meta.url);
const program = fileURLToPath(new URL(overlap ? "overlap.ts" : "job.ts", import.meta.url));
const JOB = ["--conditions", "@deplsr/source", "--import", "tsx", program];

const options = process.argv.filter((word) => word === "--reductions");
const measured: (Measurement | Overlap)[] = [];
for (const mpi of installedMpis()) {
  for (const ranks of overlap || options.length > 0 ? [2] : [1, 2]) {
    const { code, stdout, stderr } = await runJob(mpi, ranks, [process.execPath, ...JOB, ...options], {
      milliseconds: 1_200_000,
    });
    if (code !== 0) throw new Error(`${mpi.name}, ${ranks} ranks: ${stderr}`);
    measured.push(JSON.parse(stdout.trim().split("\n").at(-1)!) as Measurement | Overlap);
    process.stderr.write(`${mpi.name}, ${ranks} ranks: ${JSON.stringify(measured.at(-1)!.trainings)}\n`);
  }
}
writeFileSync(RESULTS, `${JSON.stringify(measured, null, 2)}\n`);
