/** The whole method on ten photographs: degrade, train SRCLIP, recognise, train super-resolution, enlarge, report. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { psnr, ssim } from "@deplsr/metrics";
import type { ShippedModel } from "@deplsr/models";
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
  /** A trained network that enlarges as much as the demo's, to be shown beside it; null for none. */
  readonly shipped: Pick<ShippedModel, "name" | "weights"> | null;
  readonly seed: number;
  readonly output: Output;
}

/** How near an image comes to its original. */
export interface Quality {
  /** Decibels on luma, a border of the scale left out. */
  readonly psnr: number;
  readonly ssim: number;
}

/** What became of a small image. */
export interface Enlarged {
  /** What enlarged it: "bicubic", "ours" (the demo's network), or a shipped network's name. */
  readonly by: string;
  readonly image: Image;
  readonly quality: Quality;
  readonly ms: number;
}

/** A small image, what enlarged it in several ways, and the original. */
export interface Comparison {
  readonly name: string;
  readonly lq: Image;
  readonly gt: Image;
  /** By bicubic interpolation, by ours, and by the shipped network where there is one. */
  readonly enlarged: readonly [bicubic: Enlarged, ours: Enlarged, ...shipped: Enlarged[]];
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
    const shipped = options.shipped && (await loadUpscaler(device, fileURLToPath(options.shipped.weights)));
    const networks = [
      { by: "ours", upscaler },
      ...(shipped ? [{ by: options.shipped!.name, upscaler: shipped }] : []),
    ] as const;
    const unseen = photos.filter((photo) => photo.heldOut);
    const made: Comparison[] = [];
    for (const photo of unseen)
      made.push(await compare(device, networks, photo.name, await comparisonPair(device, photo, seed)));
    await writeImage(join(folder, PLACES.comparison), stacked(made.map(comparisonPicture)));
    shipped?.network.module.dispose();
    shipped?.srclip?.dispose();
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

/** A network that enlarges, and what to call it. */
interface Network {
  readonly by: string;
  readonly upscaler: Upscaler;
}

async function compare(
  device: Device,
  [ours, ...shipped]: readonly [Network, ...Network[]],
  name: string,
  { gt, lq }: DamagedPair,
): Promise<Comparison> {
  const timed = async (by: string, work: () => Promise<Image>): Promise<Enlarged> => {
    const started = performance.now();
    const image = await work();
    const ms = performance.now() - started;
    const quality = {
      psnr: psnr(image, gt, { channels: "y", cropBorder: SCALE }),
      ssim: ssim(image, gt, { channels: "y", cropBorder: SCALE }),
    };
    return { by, image, quality, ms };
  };
  const by = (network: Network): Promise<Enlarged> =>
    timed(network.by, () => upscaleImage(device, network.upscaler, lq, { colour: "keep" }));
  const plain = await timed("bicubic", () => bicubic(device, lq, SCALE));
  const enlarged: [Enlarged, Enlarged, ...Enlarged[]] = [plain, await by(ours)];
  for (const network of shipped) enlarged.push(await by(network));
  return { name, lq, gt, enlarged };
}

/** All that was enlarged and the original beside each other. */
export function comparisonPicture({ enlarged, gt }: Comparison): Image {
  return sideBySide([...enlarged.map(({ image }) => image), gt], 8);
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
