/** Making a data set: photographs in; degraded PNG files, what was done to each, and a TSV for the training out. */
import { dirname, join } from "node:path";
import { degradationCaption, fineLabels, levelsOf } from "@deplsr/degradation";
import type { Device } from "@deplsr/tensor";
import { CAPTIONED_COLUMNS, resolveBeside } from "../data/captioned.ts";
import type { Captioner } from "../data/captioner.ts";
import { type Image, readImage, writeImage } from "../data/image.ts";
import { inParallel, oneAtATime } from "../data/jobs.ts";
import type { SkippedItem } from "../data/skipped.ts";
import { writeTable } from "../data/tsv.ts";
import { oneLine, UserError, WriteError } from "../errors.ts";
import { removeLeftovers } from "../files.ts";
import { counted, type Output } from "../output.ts";
import { cutSquare, degradeImages } from "./images.ts";
import type { Plan } from "./plan.ts";
import { type ImageRecord, Records } from "./records.ts";

/** A data set to be made. */
export interface SynthesisRequest {
  readonly plans: readonly Plan[];
  /** Where the records are kept; the plans' paths count from its folder. */
  readonly records: string;
  /** The TSV that trainings read, in the folder of the records; null writes none. */
  readonly table: string | null;
  readonly captions: Captioner;
  /** Stands in the TSV where asking for a caption failed. */
  readonly fallback: string;
  /** The smallest side that a photograph may have. */
  readonly leastSide: number;
  /** Images of one photograph that are degraded together. */
  readonly batchSize: number;
  /** Photographs that are worked on at a time: read, degraded (one of them) and written. */
  readonly jobs: number;
}

/** What was made. */
export interface SynthesisResult {
  /** The whole set, in the order of the plans. */
  readonly records: readonly ImageRecord[];
  /** How many images of it an earlier run had made. */
  readonly kept: number;
  /** Photographs that could not be used. */
  readonly skipped: readonly SkippedItem[];
  /** Photographs whose caption could not be found. */
  readonly captionless: readonly SkippedItem[];
}

/**
 * Makes the images that are planned and not there yet. A photograph that cannot be read, or is too small, is left out. Killed at any moment and
 * started again, it ends with the same bytes, however many jobs there are.
 *
 * @throws UserError when there is no image in the end, or the disk is full
 */
export async function synthesize(device: Device, request: SynthesisRequest, output: Output): Promise<SynthesisResult> {
  const { plans, captions, table, fallback } = request;
  const base = dirname(request.records);
  const files = plans.flatMap(({ out, original = out }) => [join(base, out), join(base, original)]);
  for (const folder of new Set([request.records, ...files].map(dirname))) await removeLeftovers(folder);
  const records = await Records.open(request.records, plans);
  const kept = records.made.length;
  if (records.outdated > 0) {
    output.warn(`made anew: ${counted(records.outdated, "image")} of another seed or other options`);
  }
  for (const record of records.made) {
    const title = captions.known(resolveBeside(request.records, record.in)) ?? record.title;
    if (title !== record.title) records.add({ ...record, title });
  }
  const photos = byPhoto(plans).filter((own) => own.some((plan) => (records.get(plan)?.title ?? null) === null));
  const skipped = new Map<string, string>();
  const captionless = new Map<string, string>();
  const bar = output.progress("degrade", plans.length, "image").startAt(kept);
  const inTurn = oneAtATime();
  let done = kept;
  await inParallel(photos, request.jobs, async (own) => {
    const path = resolveBeside(request.records, own[0]!.in);
    const wanted = own.filter((plan) => records.get(plan) === undefined);
    try {
      const photo = await readImage(path);
      for (const plan of wanted) checkSize(device, photo, path, plan, request.leastSide);
      const title = await titleOf(own, path);
      for (const record of own.flatMap((plan) => records.get(plan) ?? [])) {
        if (record.title !== title) records.add({ ...record, title });
      }
      for (let at = 0; at < wanted.length; at += request.batchSize) {
        const batch = wanted.slice(at, at + request.batchSize);
        const pieces = batch.map(({ square }) => (square ? cutSquare(photo, square) : photo));
        const images = await inTurn(() => degradeImages(device, pieces, batch));
        await Promise.all(
          batch.map(async (plan, i) => {
            if (plan.original !== undefined) await writeImage(join(base, plan.original), pieces[i]!);
            await writeImage(join(base, plan.out), images[i]!);
            records.add({ ...plan, title });
          }),
        );
      }
    } catch (error) {
      if (!(error instanceof UserError) || error instanceof WriteError) throw error;
      skipped.set(path, oneLine(error));
    }
    done += wanted.length;
    bar.update(done, skipped.size > 0 ? `${skipped.size} left out` : "");
  });
  bar.finish();
  const { made } = records;
  if (made.length === 0)
    throw new UserError(`degrade: nothing could be degraded: ${[...skipped.values()][0] ?? "no images"}`);
  await records.write();
  if (table !== null)
    await writeTable(
      table,
      CAPTIONED_COLUMNS,
      made.flatMap((record) => row(record, fallback)),
    );
  return { records: made, kept, skipped: listed(skipped), captionless: listed(captionless) };

  /** The photograph's caption: a known one, that of its other images, or a new one; null when there is none. */
  async function titleOf(own: readonly Plan[], path: string): Promise<string | null> {
    const earlier = own.map((plan) => records.get(plan)?.title).find((title) => title);
    const title = captions.known(path) ?? earlier;
    if (title !== undefined || captions.ask === null) return title ?? null;
    try {
      return await captions.ask(path);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      captionless.set(path, oneLine(error));
      return null;
    }
  }
}

/** Sorted, since which job ends first is a matter of chance. */
function listed(reasons: ReadonlyMap<string, string>): SkippedItem[] {
  return [...reasons.keys()].sort().map((name) => ({ name, reason: reasons.get(name)! }));
}

function byPhoto(plans: readonly Plan[]): Plan[][] {
  const photos = new Map<string, Plan[]>();
  for (const plan of plans) {
    const own = photos.get(plan.in);
    if (own) own.push(plan);
    else photos.set(plan.in, [plan]);
  }
  return [...photos.values()];
}

function checkSize(device: Device, { width, height }: Image, path: string, plan: Plan, leastSide: number): void {
  const least = Math.max(leastSide, plan.square?.size ?? 0);
  if (Math.min(width, height) < least) {
    throw new UserError(`degrade: ${path} is ${width}x${height}: at least ${least} pixels a side are needed`);
  }
  if (plan.square) return;
  const enlarged = plan.pipeline === "semantic" ? 1 : Math.max(1, plan.draw.stages[0].resize.factor);
  const bytes = Math.ceil(width * height * enlarged ** 2 * 3 * Float32Array.BYTES_PER_ELEMENT);
  if (bytes > device.info.maxTensorBytes) {
    throw new UserError(
      `degrade: ${path} (${width}x${height}) becomes a tensor of ${bytes} bytes, over this adapter's limit of ${device.info.maxTensorBytes}: cut squares out with --fit crop`,
    );
  }
}

/** A record's row of the TSV; pairs for super-resolution have none. */
function row(record: ImageRecord, fallback: string): Record<string, string>[] {
  if (record.pipeline !== "semantic") return [];
  const levels = levelsOf(record.draw);
  const cells = [record.out, record.title ?? fallback, degradationCaption(levels), ...fineLabels(levels)];
  return [Object.fromEntries(CAPTIONED_COLUMNS.map((column, i) => [column, cells[i]!]))];
}
