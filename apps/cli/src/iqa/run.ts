import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { type LearnedMetric, type Metric, type NiqeModel, OWN_PRISTINE_MODEL, readNiqeModel } from "@deplsr/metrics";
import type { Context, DeviceFlags } from "../commands/command.ts";
import { listSkipped, type SkippedItem } from "../data/skipped.ts";
import { withDevice } from "../device.ts";
import { oneLine, systemCode, UserError } from "../errors.ts";
import { checkPlace, writeFileAtomic } from "../files.ts";
import { checkWhole, refuseExisting } from "../flags.ts";
import { counted } from "../output.ts";
import { chooseMetrics } from "./metrics.ts";
import { listPairs } from "./pairs.ts";
import { scoreCsv, scoreJson, scoreLines } from "./report.ts";
import { type Scores, scoreAll } from "./score.ts";
import { missingWeights, openMetric } from "./weights.ts";

/** The flags of `deplsr iqa`. */
export interface IqaFlags extends DeviceFlags {
  readonly images: string;
  readonly ref: string | undefined;
  readonly metrics: string | undefined;
  readonly crop: number;
  readonly y: boolean;
  readonly csv: string | undefined;
  readonly overwrite: boolean;
  readonly "niqe-params": string | undefined;
  readonly weights: string;
}

/** Does what `deplsr iqa` asks for. */
export async function runIqa(flags: IqaFlags, context: Context): Promise<void> {
  const { output } = context;
  const { crop, csv, "niqe-params": parameters } = flags;
  checkWhole("crop", crop, 0);
  if (csv !== undefined) await refuseExisting("iqa", csv, flags.overwrite);
  const chosen = chooseMetrics(flags.metrics, flags.ref !== undefined, {
    channels: flags.y ? "y" : "rgb",
    cropBorder: crop,
    niqeModel: parameters === undefined ? OWN_PRISTINE_MODEL : await readModel(parameters),
  });
  const files = await listPairs(flags.images, flags.ref);
  if (csv !== undefined) await checkPlace(csv);
  const missing: SkippedItem[] = [];
  const metrics: (Metric | LearnedMetric)[] = [];
  for (const metric of chosen) {
    const reason = await missingWeights(metric, flags.weights);
    if (reason === undefined) metrics.push(metric);
    else missing.push({ name: metric.name, reason });
  }
  if (metrics.length === 0) throw new UserError(`iqa: ${missing.map(({ reason }) => reason).join("; ")}`);
  const scores = await withMetrics(metrics, flags, context, (ready) => scoreAll(files, ready, output));
  const skipped = [...missing, ...scores.skipped];
  if (scores.mean.size === 0) {
    const { name, reason } = skipped[0]!;
    throw new UserError(`iqa: nothing could be scored: ${name}: ${reason}`);
  }
  for (const line of scoreLines(scores, metrics)) output.line(line);
  if (csv !== undefined) await writeFileAtomic(csv, scoreCsv(scores, metrics));
  listSkipped(output, skipped, counted(skipped.length, "image or metric", "images or metrics"));
  output.result(scoreJson({ ...scores, skipped }, metrics));
}

/** Opens the metrics that learned something, on a device that is asked for where there are any. */
async function withMetrics(
  metrics: readonly (Metric | LearnedMetric)[],
  flags: IqaFlags,
  context: Context,
  work: (ready: readonly Metric[]) => Promise<Scores>,
): Promise<Scores> {
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
