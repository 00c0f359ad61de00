/** Making a data set: photographs in; degraded PNG files, what was done to each, and a TSV for the training out. */
import { dirname, join } from "node:path";
import { degradationCaption, fineLabels, levelsOf } from "@deplsr/degradation";
import type { Device } from "@deplsr/tensor";
import type { SharedContext } from "../commands/command.ts";
import { CAPTIONED_COLUMNS, resolveBeside } from "../data/captioned.ts";
import type { Captioner } from "../data/captioner.ts";
import { type Image, readImage, writeImage } from "../data/image.ts";
import { oneAtATime } from "../data/jobs.ts";
import type { SkippedItem } from "../data/skipped.ts";
import { writeTable } from "../data/tsv.ts";
import { oneLine, UserError, WriteError } from "../errors.ts";
import { removeLeftovers } from "../files.ts";
import { counted } from "../output.ts";
import { divide } from "../ranks/divide.ts";
import { fromFirst } from "../ranks/exchange.ts";
import { checkSameFiles } from "../ranks/same-files.ts";
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

/** What is still to do with a photograph; images by their places among the plans. */
interface PhotoWork {
  readonly path: string;
  /** All its images. */
  readonly own: readonly number[];
  /** Those that are not there. */
  readonly wanted: readonly number[];
  /** A caption that it has from an earlier run. */
  readonly title: string | null;
}

/** What was done with it. */
interface PhotoResult {
  readonly title: string | null;
  /** Images that another process than the first has made, which has yet to be told. */
  readonly made: readonly number[];
  /** Why the photograph was left out; null where it was not. */
  readonly skipped: string | null;
  /** Why it has no caption. */
  readonly captionless: string | null;
}

/**
 * Makes the images that are planned and not there yet. A photograph that cannot be read, or is too small, is left out. Killed at any moment and
 * started again, it ends with the same bytes, however many jobs and processes there are. The first process keeps the records, and has the result: that of the others
 * is empty.
 *
 * @throws UserError when there is no image in the end, or the disk is full
 */
export async function synthesize(
  device: Device,
  request: SynthesisRequest,
  { output, group }: SharedContext,
): Promise<SynthesisResult> {
  const { plans, captions, table, fallback } = request;
  const base = dirname(request.records);
  const records = group.rank === 0 ? await openRecords(request) : null;
  const kept = records?.made.length ?? 0;
  if (records && records.outdated > 0) {
    output.warn(`made anew: ${counted(records.outdated, "image")} of another seed or other options`);
  }
  for (const record of records?.made ?? []) {
    const title = captions.known(resolveBeside(request.records, record.in)) ?? record.title;
    if (title !== record.title) records?.add({ ...record, title });
  }
  const photos = await fromFirst(group, () => workOf(request, records!));
  await checkSameFiles(
    group,
    photos.map(({ path }) => path),
  );
  const skipped = new Map<string, string>();
  const captionless = new Map<string, string>();
  const bar = output.progress("degrade", plans.length, "image").startAt(kept);
  const inTurn = oneAtATime();
  let done = kept;
  await divide(group, photos, {
    jobs: request.jobs,
    work: makeImages,
    take: (result, i) => {
      const { path, own, wanted } = photos[i]!;
      keepTitle(own, result.title);
      for (const place of result.made) records?.add({ ...plans[place]!, title: result.title });
      if (result.skipped !== null) skipped.set(path, result.skipped);
      if (result.captionless !== null) captionless.set(path, result.captionless);
      done += wanted.length;
      bar.update(done, skipped.size > 0 ? `${skipped.size} left out` : "");
    },
  });
  bar.finish();
  if (records === null) return { records: [], kept, skipped: [], captionless: [] };
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

  async function makeImages(photo: PhotoWork): Promise<PhotoResult> {
    const { path, own, wanted } = photo;
    const made: number[] = [];
    let title: string | null = null;
    let skipped: string | null = null;
    let captionless: string | null = null;
    try {
      const image = await readImage(path);
      for (const place of wanted) checkSize(device, image, path, plans[place]!, request.leastSide);
      try {
        title = await titleOf(photo);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        captionless = oneLine(error);
      }
      keepTitle(own, title);
      for (let at = 0; at < wanted.length; at += request.batchSize) {
        const places = wanted.slice(at, at + request.batchSize);
        const batch = places.map((place) => plans[place]!);
        const pieces = batch.map(({ square }) => (square ? cutSquare(image, square) : image));
        const images = await inTurn(() => degradeImages(device, pieces, batch));
        await Promise.all(
          batch.map(async (plan, i) => {
            if (plan.original !== undefined) await writeImage(join(base, plan.original), pieces[i]!);
            await writeImage(join(base, plan.out), images[i]!);
            if (records) records.add({ ...plan, title });
            else made.push(places[i]!);
          }),
        );
      }
    } catch (error) {
      if (!(error instanceof UserError) || error instanceof WriteError) throw error;
      skipped = oneLine(error);
    }
    return { title, made, skipped, captionless };
  }

  /** The photograph's caption: a known one, that of its other images, or a new one; null when there is none. */
  async function titleOf({ path, title: earlier }: PhotoWork): Promise<string | null> {
    const title = captions.known(path) ?? earlier;
    return title !== null || captions.ask === null ? title : captions.ask(path);
  }

  /** Gives a photograph's images of an earlier run the caption that is known by now. */
  function keepTitle(own: readonly number[], title: string | null): void {
    for (const record of own.flatMap((place) => records?.get(plans[place]!) ?? [])) {
      if (title !== null && record.title !== title) records?.add({ ...record, title });
    }
  }
}

/** The records of a set, with what an earlier run has made of it. */
async function openRecords({ plans, records }: SynthesisRequest): Promise<Records> {
  const base = dirname(records);
  const files = plans.flatMap(({ out, original = out }) => [join(base, out), join(base, original)]);
  for (const folder of new Set([records, ...files].map(dirname))) await removeLeftovers(folder);
  return Records.open(records, plans);
}

/** What is still to do, photograph by photograph. */
function workOf({ plans, records: file }: SynthesisRequest, records: Records): PhotoWork[] {
  const photos = new Map<string, number[]>();
  for (const [place, plan] of plans.entries()) {
    const own = photos.get(plan.in);
    if (own) own.push(place);
    else photos.set(plan.in, [place]);
  }
  return [...photos].flatMap(([photo, own]) => {
    const titles = own.map((place) => records.get(plans[place]!)?.title ?? null);
    if (titles.every((title) => title !== null)) return [];
    return {
      path: resolveBeside(file, photo),
      own,
      wanted: own.filter((place) => records.get(plans[place]!) === undefined),
      title: titles.find((title) => title) ?? null,
    };
  });
}

/** Sorted, since which job ends first is a matter of chance. */
function listed(reasons: ReadonlyMap<string, string>): SkippedItem[] {
  return [...reasons.keys()].sort().map((name) => ({ name, reason: reasons.get(name)! }));
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
