/** The whole method on eight photographs: degrade, train SRCLIP, recognise, train super-resolution, enlarge, report. */
import { join } from "node:path";
import { psnr, ssim } from "@deplsr/metrics";
import type { Device } from "@deplsr/tensor";
import { sideBySide } from "../data/crop.ts";
import { encodeImage, type Image, writeImage } from "../data/image.ts";
import { UserError } from "../errors.ts";
import { type Evaluation, evaluateSrclip } from "../evaluate/evaluate.ts";
import { TRAINING_STYLE } from "../evaluate/protocol.ts";
import { writeFileAtomic } from "../files.ts";
import type { Output } from "../output.ts";
import { duration } from "../progress.ts";
import type { StepMetrics } from "../train/loop.ts";
import { runSession, type SessionResult } from "../train/session.ts";
import { prepareSr } from "../train/sr.ts";
import { prepareSrclip } from "../train/srclip.ts";
import { bicubic, loadUpscaler, type Upscaler, upscaleImage } from "../upscale/upscale.ts";
import { comparisonPair, type DamagedPair, type DemoData, makeData } from "./data.ts";
import type { DemoPhoto } from "./photos.ts";
import { PLACES, SCALE, srclipRecipe, srRecipe } from "./recipe.ts";

/** What a demo is run with. */
export interface DemoOptions {
  readonly photos: readonly DemoPhoto[];
  readonly folder: string;
  /** Degraded squares of each photograph that SRCLIP learns from. */
  readonly squares: number;
  readonly srclipSteps: number;
  readonly srSteps: number;
  readonly seed: number;
  readonly output: Output;
}

/** How near an image comes to its original. */
export interface Quality {
  /** Decibels on luma, a border of the scale left out. */
  readonly psnr: number;
  readonly ssim: number;
}

/** An image that was enlarged, beside bicubic interpolation and the original. */
export interface Comparison {
  readonly name: string;
  readonly lq: Image;
  readonly gt: Image;
  readonly bicubic: Image;
  readonly ours: Image;
  readonly quality: { readonly bicubic: Quality; readonly ours: Quality };
  readonly ms: number;
}

/** A training with the numbers of all its steps. */
export interface TrainedPart extends SessionResult {
  readonly metrics: readonly StepMetrics[];
  readonly parameters: number;
}

/** Everything a demo found. */
export interface DemoResult {
  readonly data: DemoData;
  readonly srclip: TrainedPart;
  readonly evaluation: Evaluation;
  readonly sr: TrainedPart;
  readonly upscaler: Upscaler;
  readonly comparisons: readonly Comparison[];
  /** Seconds of each phase by name, in order. */
  readonly seconds: Readonly<Record<string, number>>;
}

/** Runs all phases. @throws UserError when it is interrupted, or anything fails */
export async function runDemo(device: Device, options: DemoOptions): Promise<DemoResult> {
  const { photos, folder, squares, seed, output } = options;
  const seconds: Record<string, number> = {};
  const timed = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const started = performance.now();
    output.line(`\n${name}`);
    const result = await work();
    seconds[name] = (performance.now() - started) / 1000;
    output.line(`  (${duration(seconds[name])})`);
    return result;
  };
  const data = await timed("Degrading crops of the photographs", () =>
    makeData(device, photos, { folder, squares, seed, output }),
  );
  const srclip = await timed("Training SRCLIP: content and degradation", () => trainPrior(device, options));
  const { model } = srclip;
  const evaluation = await timed("Recognising the degradations of two photographs it has not seen", () =>
    evaluateSrclip(model, {
      data: join(folder, PLACES.heldOut),
      style: TRAINING_STYLE,
      imageFit: "crop",
      batchSize: 64,
      output,
    }),
  );
  model.dispose();
  const sr = await timed("Training RealDAT on SRCLIP's features", () => trainNetwork(device, options));
  const upscaler = await loadUpscaler(device, join(folder, PLACES.sr));
  const comparisons = await timed("Enlarging squares of the two photographs", async () => {
    const unseen = photos.filter((photo) => photo.heldOut);
    const made: Comparison[] = [];
    for (const photo of unseen)
      made.push(await compare(device, upscaler, photo.name, await comparisonPair(device, photo, seed)));
    await writeImage(join(folder, PLACES.comparison), stacked(made.map(comparisonPicture)));
    return made;
  });
  return { data, srclip: srclip.part, evaluation, sr, upscaler, comparisons, seconds };
}

async function trainPrior(
  device: Device,
  { folder, srclipSteps, seed, output }: DemoOptions,
): Promise<{ part: TrainedPart; model: Awaited<ReturnType<typeof prepareSrclip>>["model"] }> {
  const config = srclipRecipe(join(folder, PLACES.training), srclipSteps, seed);
  const run = join(folder, PLACES.srclip);
  const { training, model } = await prepareSrclip(device, config, { folder: run }, output);
  const metrics: StepMetrics[] = [];
  const session = await runSession({
    training,
    folder: run,
    config,
    output,
    overwrite: true,
    onMetrics: (more) => void metrics.push(...more),
  });
  stopIfInterrupted(session);
  return { part: { ...session, metrics, parameters: model.parameterCount() }, model };
}

async function trainNetwork(device: Device, { folder, srSteps, seed, output }: DemoOptions): Promise<TrainedPart> {
  const run = join(folder, PLACES.sr);
  const places = { gt: join(folder, PLACES.gt), lq: join(folder, PLACES.lq), srclip: join(folder, PLACES.srclip) };
  const config = srRecipe(places, srSteps, seed);
  const { training, network, srclip } = await prepareSr(device, config, run, output);
  const metrics: StepMetrics[] = [];
  const session = await runSession({
    training,
    folder: run,
    config,
    output,
    overwrite: true,
    onMetrics: (more) => void metrics.push(...more),
  });
  stopIfInterrupted(session);
  const part = { ...session, metrics, parameters: network.module.parameterCount() };
  network.module.dispose();
  srclip?.dispose();
  return part;
}

function stopIfInterrupted({ interrupted, checkpoint }: SessionResult): void {
  if (interrupted) throw new UserError(`demo: interrupted; what was trained so far is in ${checkpoint}`);
}

async function compare(device: Device, upscaler: Upscaler, name: string, { gt, lq }: DamagedPair): Promise<Comparison> {
  const started = performance.now();
  const ours = await upscaleImage(device, upscaler, lq, { colour: "keep" });
  const ms = performance.now() - started;
  const plain = await bicubic(device, lq, SCALE);
  const quality = (image: Image): Quality => ({
    psnr: psnr(image, gt, { channels: "y", cropBorder: SCALE }),
    ssim: ssim(image, gt, { channels: "y", cropBorder: SCALE }),
  });
  return { name, lq, gt, bicubic: plain, ours, quality: { bicubic: quality(plain), ours: quality(ours) }, ms };
}

/** Bicubic, ours and the original beside each other. */
export function comparisonPicture(comparison: Comparison): Image {
  return sideBySide([comparison.bicubic, comparison.ours, comparison.gt], 8);
}

function stacked(images: readonly Image[]): Image {
  const gap = 8;
  const width = Math.max(...images.map((image) => image.width));
  const height = images.reduce((sum, image) => sum + image.height, 0) + gap * (images.length - 1);
  const data = new Uint8Array(width * height * 3).fill(255);
  let top = 0;
  for (const image of images) {
    for (let y = 0; y < image.height; y++) {
      data.set(image.data.subarray(y * image.width * 3, (y + 1) * image.width * 3), (top + y) * width * 3);
    }
    top += image.height + gap;
  }
  return { width, height, data };
}

/** Writes the report and returns its path. */
export async function writeReport(folder: string, html: string): Promise<string> {
  const path = join(folder, PLACES.report);
  await writeFileAtomic(path, html);
  return path;
}

/** A picture as the bytes of a PNG file, for the report. */
export async function pngOf(image: Image): Promise<Uint8Array> {
  return encodeImage(image, "picture.png");
}
