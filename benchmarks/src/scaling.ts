/**
 * `npm run bench:scaling`: how much of itself a device keeps where several train together, for two trainings on clusters, and the model beside what was
 * measured on this machine. `-- --measure` measures anew, with the MPIs that are installed; `-- --measure --reductions` without steps, `-- --measure --overlap` what is hidden
 * of reductions.
 */
import { existsSync, readFileSync } from "node:fs";
import type { Measurement } from "./scaling/job.ts";
import { predictedSum } from "./scaling/measured.ts";
import { ALGORITHMS, predict, reduceTime, type Step } from "./scaling/model.ts";
import { CLUSTERS, PLANNED } from "./scaling/plan.ts";
import { simulate } from "./scaling/simulation.ts";

const RESULTS = new URL("../results/scaling.json", import.meta.url);

if (process.argv.includes("--measure")) await import("./scaling/measure.ts");

const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
const ms = (seconds: number): string => (1000 * seconds).toFixed(1);
const line = (...cells: readonly string[]): void => void process.stdout.write(`| ${cells.join(" | ")} |\n`);

if (existsSync(RESULTS)) {
  const measured = JSON.parse(readFileSync(RESULTS, "utf8")) as Measurement[];
  const [first] = measured;
  if (first) {
    const { cpu, cores, date, commit } = first.machine;
    process.stdout.write(`Measured on ${cpu}, ${cores} cores, ${date.slice(0, 10)}, ${commit}: ms\n\n`);
  }
  line("MPI", "ranks", "training", "MB", "step", "reduction", "by the model", "load");
  line(...Array.from({ length: 8 }, () => "---"));
  for (const run of measured) {
    for (const { name, bytes, step, reduction, bucket } of run.trainings) {
      const model = run.ranks === 1 ? 0 : predictedSum(run.sums, bytes, bucket);
      const cells = [
        run.library ?? "alone",
        String(run.ranks),
        name,
        (bytes / 1e6).toFixed(1),
        step === null ? "" : ms(step),
        ms(reduction),
      ];
      line(...cells, run.ranks === 1 ? "" : ms(model), run.machine.load.toFixed(1));
    }
  }
  process.stdout.write("\n");
}
line("training", "cluster", ...ALGORITHMS, "simulated", "MB", "ms of a step");
line(...Array.from({ length: 5 + ALGORITHMS.length }, () => "---"));
for (const step of PLANNED) {
  for (const cluster of CLUSTERS) {
    const kept = ALGORITHMS.map((algorithm) => predict(step, (n) => reduceTime(algorithm, n, cluster)).efficiency);
    const alone = aloneTime(step);
    const simulated = alone / simulate(step, cluster);
    line(step.name, cluster.name, ...kept.map(percent), percent(simulated), (step.bytes / 1e6).toFixed(1), ms(alone));
  }
}

function aloneTime({ forward, backward, update }: Step): number {
  return forward + backward + update;
}
