/** Measures steps and their reductions on this machine, alone and with two ranks of each MPI, into results/scaling.json; with `--reductions` these alone. */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { installedMpis, runJob } from "../../../scripts/mpi.ts";
import type { Measurement } from "./job.ts";

const JOB = ["--conditions", "@deplsr/source", "--import", "tsx", fileURLToPath(new URL("job.ts", import.meta.url))];
const RESULTS = new URL("../../results/scaling.json", import.meta.url);

const options = process.argv.filter((word) => word === "--reductions");
const measured: Measurement[] = [];
for (const mpi of installedMpis()) {
  for (const ranks of options.length > 0 ? [2] : [1, 2]) {
    const { code, stdout, stderr } = await runJob(mpi, ranks, [process.execPath, ...JOB, ...options], {
      milliseconds: 1_200_000,
    });
    if (code !== 0) throw new Error(`${mpi.name}, ${ranks} ranks: ${stderr}`);
    measured.push(JSON.parse(stdout.trim().split("\n").at(-1)!) as Measurement);
    process.stderr.write(`${mpi.name}, ${ranks} ranks: ${JSON.stringify(measured.at(-1)!.trainings)}\n`);
  }
}
writeFileSync(RESULTS, `${JSON.stringify(measured, null, 2)}\n`);
