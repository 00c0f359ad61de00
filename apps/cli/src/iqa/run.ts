import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { type LearnedMetric, type Metric, type NiqeModel, OWN_PRISTINE_MODEL, readNiqeModel } from "@deplsr/metrics";
import type { Context, DeviceFlags, SharedContext } from "../commands/command.ts";
import { listSkipped, MOST_NAMED, type SkippedItem } from "../data/skipped.ts";
import { withDevice } from "../device.ts";
import { oneLine, systemCode, UserError } from "../errors.ts";
import { checkPlace, writeFileAtomic } from "../files.ts";
import { checkWhole, refuseExisting } from "../flags.ts";
import { counted, Output } from "../output.ts";
import { fromFirst } from "../ranks/exchange.ts";
import { checkSame } from "../ranks/same.ts";
import { checkSameFiles } from "../ranks/same-files.ts";
import { chooseMetrics } from "./metrics.ts";
import { listPairs, type PairedFiles } from "./pairs.ts";
import { reportOf, type ScoredSet } from "./report.ts";
import { type ScoreOptions, type Scores, scoreAll } from "./score.ts";
import { type AskedSet, askedSets } from "./sets.ts";
import { missingWeights, openMetric } from "./weights.ts";

/** The flags of `deplsr iqa`. */
export interface IqaFlags extends DeviceFlags {
  readonly images: string | undefined;
  readonly ref: string | undefined;
  readonly set: readonly string[];
  readonly "crop-reference": boolean;
  readonly metrics: string | undefined;
  readonly crop: number;
  readonly y: boolean;
  readonly csv: string | undefined;
  readonly overwrite: boolean;
  readonly "niqe-params": string | undefined;
  readonly weights: string;
}

/** Does what `deplsr iqa` asks for. */
export async function runIqa(flags: IqaFlags, { group, ...context }: SharedContext): Promise<void> {
  // The first process tells for all.
  const output = group.rank === 0 ? context.output : Output.silent();
  const { crop, csv, "niqe-params": parameters } = flags;
  checkWhole("crop", crop, 0);
  const sets = askedSets(flags);
  const chosen = chooseMetrics(flags.metrics, sets.some(hasReference), {
    channels: flags.y ? "y" : "rgb",
    cropBorder: crop,
    niqeModel: parameters === undefined ? OWN_PRISTINE_MODEL : await readModel(parameters),
  });
  const listed = await fromFirst(group, async () => {
    if (csv !== undefined) await refuseExisting("iqa", csv, flags.overwrite);
    const listed: ListedSet[] = [];
    for (const set of sets) listed.push({ ...set, files: await listPairs(set.images, set.reference) });
    if (csv !== undefined) await checkPlace(csv);
    return listed;
  });
  for (const { files } of listed) {
    await checkSameFiles(group, [...files.pairs.map(({ image }) => image), ...files.references]);
  }
  const missing: SkippedItem[] = [];
  const metrics: (Metric | LearnedMetric)[] = [];
  for (const metric of chosen) {
    const reason = await missingWeights(metric, flags.weights);
    if (reason === undefined) metrics.push(metric);
    else missing.push({ name: metric.name, reason });
  }
  await checkSame(group, { metrics: metrics.map(({ name }) => name) });
  if (metrics.length === 0) throw new UserError(`iqa: ${missing.map(({ reason }) => reason).join("; ")}`);
  const scored: ScoredSet[] = [];
  await withMetrics(metrics, flags, { output }, async (ready) => {
    for (const set of listed) {
      const scores = await scoreSet(set, ready, { output, cropReference: flags["crop-reference"], group });
      scored.push({ name: set.name, scores });
    }
  });
  if (group.rank > 0) return;
  if (scored.every(({ scores }) => scores.mean.size === 0)) {
    const { name, reason } = [...missing, ...scored.flatMap(({ scores }) => scores.skipped)][0]!;
    throw new UserError(`iqa: nothing could be scored: ${name}: ${reason}`);
  }
  const report = reportOf(scored, metrics, missing);
  for (const line of report.lines) output.line(line);
  if (csv !== undefined) await writeFileAtomic(csv, report.csv);
  listSkipped(output, missing, counted(missing.length, "metric"));
  for (const { name, scores } of scored) {
    const what = counted(scores.skipped.length, "image or metric", "images or metrics");
    listSkipped(output, scores.skipped, name === null ? what : `${what} of ${name}`);
  }
  output.result(report.json);
}

/** A set with its files. */
type ListedSet = AskedSet & { readonly files: PairedFiles };

function hasReference({ reference }: AskedSet): boolean {
  return reference !== undefined;
}

/** Scores a set with the metrics that apply: where others have originals and it has none, those that compare are left out. */
async function scoreSet(set: ListedSet, metrics: readonly Metric[], options: ScoreOptions): Promise<Scores> {
  const { name, images, files } = set;
  const { output } = options;
  if (name !== null) output.line(`${name}: ${counted(files.pairs.length, "image")}`);
  const [comparing, alone] = [metrics.filter(compares), metrics.filter((metric) => !compares(metric))];
  if (hasReference(set) || comparing.length === 0) {
    if (comparing.length > 0) warnOfUnused(files, output);
    return scoreAll(files, metrics, options);
  }
  const scores = await scoreAll(files, alone, options);
  const names = comparing.map((metric) => metric.name).join(", ");
  const reason = `there are no originals for ${names}: give them with --set ${name}=${images},HR`;
  return { ...scores, skipped: [{ name: `${name}`, reason }, ...scores.skipped] };
}

function compares({ needsReference }: Metric): boolean {
  return needsReference;
}

/** Says how many references have no image: the means are over fewer than there are. A single image needs one only. */
function warnOfUnused({ pairs, references }: PairedFiles, output: Output): void {
  const used = new Set(pairs.map(({ reference }) => reference));
  const unused = references.filter((reference) => !used.has(reference));
  if (pairs.length === 1 || unused.length === 0) return;
  const named = `${unused.slice(0, MOST_NAMED).join(", ")}${unused.length > MOST_NAMED ? " ..." : ""}`;
  output.warn(`${unused.length} of ${counted(references.length, "reference")} have no image: ${named}`);
}

/** Opens the metrics that learned something, on a device that is asked for where there are any. */
async function withMetrics(
  metrics: readonly (Metric | LearnedMetric)[],
  flags: IqaFlags,
  context: Context,
  work: (ready: readonly Metric[]) => Promise<void>,
): Promise<void> {
  const plain = metrics.filter((metric): metric is Metric => !("open" in metric));
  if (plain.length === metrics.length) return work(plain);
  return withDevice(flags, context, async (device) => {
    const ready: Metric[] = [];
    try {
      for (const metric of metrics) {
        ready.push("open" in metric ? await openMetric(metric, flags.weights, device) : metric);
      }
      return await work(ready);
    } finally {
      for (const metric of ready) metric.dispose?.();
    }
  });
}

/** @throws UserError when the file cannot be read or holds no model */
async function readModel(path: string): Promise<NiqeModel> {
  try {
    return await readNiqeModel(await readFile(path), basename(path));
  } catch (error) {
    if (systemCode(error) === "ENOENT")
      throw new UserError(`niqe: ${path} does not exist: check the path of --niqe-params`);
    throw new UserError(
      `niqe: ${path} cannot be used (${oneLine(error)}): give niqe_pris_params.npz, niqe_modelparameters.mat or a file of fit-niqe`,
    );
  }
}
