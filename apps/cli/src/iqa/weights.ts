/** The weights of learned metrics: files that their users bring. */
import { openAsBlob } from "node:fs";
import { join, resolve } from "node:path";
import type { LearnedMetric, Metric } from "@deplsr/metrics";
import { StateDictError } from "@deplsr/nn";
import { blobSource, type Device, FileFormatError, type Source } from "@deplsr/tensor";
import { oneLine, UserError } from "../errors.ts";
import { exists } from "../files.ts";

/** Which files a metric lacks and what to do about it; undefined when it has all it needs. */
export async function missingWeights(metric: Metric | LearnedMetric, folder: string): Promise<string | undefined> {
  if (!("weights" in metric)) return undefined;
  const found = await Promise.all(metric.weights.map(({ name }) => exists(join(folder, name))));
  const absent = metric.weights.filter((_, i) => !found[i]).map(({ name, from }) => `${name} (${from})`);
  return absent.length === 0
    ? undefined
    : `${metric.name} needs ${absent.join(" and ")}: bring ${absent.length === 1 ? "it" : "them"} into ${resolve(folder)}`;
}

/** Makes a metric of its weights. @throws UserError naming the files when they are damaged or of something else */
export async function openMetric(metric: LearnedMetric, folder: string, device: Device): Promise<Metric> {
  const files = new Map<string, Source>();
  for (const { name } of metric.weights) files.set(name, blobSource(await openAsBlob(join(folder, name))));
  try {
    return await metric.open(device, files);
  } catch (error) {
    if (!(error instanceof FileFormatError || error instanceof StateDictError)) throw error;
    throw new UserError(
      `${metric.name}: ${[...files.keys()].join(" and ")} in ${folder} cannot be used: ${oneLine(error)}`,
    );
  }
}
