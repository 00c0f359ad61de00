/** Making a captioned data set: photographs in, degraded PNG files and the TSV that says what was done to each out. */
import { join, relative } from "node:path";
import {
  type Chain,
  degradationCaption,
  degradeSemantic,
  drawSemantic,
  fineLabels,
  levelsOf,
  type SemanticDraw,
  type SemanticOptions,
} from "@deplsr/degradation";
import { type Device, noGrad, Rng, scope } from "@deplsr/tensor";
import { CAPTIONED_COLUMNS } from "../data/captioned.ts";
import { crop, fromPlanes, toPlanes } from "../data/crop.ts";
import { stem } from "../data/folder.ts";
import { type Image, readImage, writeImage } from "../data/image.ts";
import type { SkippedItem } from "../data/skipped.ts";
import { writeTable } from "../data/tsv.ts";
import { oneLine, UserError, WriteError } from "../errors.ts";
import type { Output } from "../output.ts";

/** A photograph and what it shows. */
export interface Source {
  readonly path: string;
  readonly title: string;
}

/** What is made of the photographs. */
export interface SynthesisRequest {
  readonly sources: readonly Source[];
  /** What the files of each photograph are called; default: as the photograph. */
  readonly names?: readonly string[];
  /** Degraded versions of each photograph. */
  readonly count: number;
  /** `squash`: the whole photograph, resized to the square at the end, as the original does. `crop`: a random square at native resolution. */
  readonly fit: "squash" | "crop";
  readonly options: SemanticOptions;
  readonly chain: Chain;
  readonly seed: number;
  /** Changes what was drawn, for instance to rounder levels. */
  readonly adjust?: (draw: SemanticDraw) => SemanticDraw;
  /** Where the PNG files go. */
  readonly folder: string;
  /** The TSV; its paths count from its own folder. */
  readonly table: string;
  /** Images that are degraded together. */
  readonly batchSize: number;
}

/** One degraded image. */
export interface Degraded {
  readonly in: string;
  readonly out: string;
  /** The whole degradation in words. */
  readonly degradation: string;
}

/** What was made, and which photographs could not be used. */
export interface SynthesisResult {
  readonly images: readonly Degraded[];
  readonly skipped: readonly SkippedItem[];
}

/** The largest blur reaches this far and mirrors the image at its border, so a side must have at least one pixel more. */
const REACH = 10;

/**
 * Degrades photographs. One that cannot be read, or is too small, is left out and reported.
 *
 * @throws UserError when none is left, or the disk is full
 */
export async function synthesize(device: Device, request: SynthesisRequest, output: Output): Promise<SynthesisResult> {
  const { sources, count, table } = request;
  const images: Degraded[] = [];
  const skipped: SkippedItem[] = [];
  const rows: Record<string, string>[] = [];
  const names = request.names ?? uniqueNames(sources.map(({ path }) => path));
  const bar = output.progress("degrade", sources.length * count, "image");
  for (const [index, source] of sources.entries()) {
    try {
      const photo = await readImage(source.path);
      const made = await degradeOne(device, request, photo, { source, index, name: names[index]! });
      for (const { draw, out } of made) {
        const levels = levelsOf(draw);
        const degradation = degradationCaption(levels);
        images.push({ in: source.path, out, degradation });
        const cells = [relative(join(table, ".."), out), source.title, degradation, ...fineLabels(levels)];
        rows.push(Object.fromEntries(CAPTIONED_COLUMNS.map((column, i) => [column, cells[i]!])));
      }
    } catch (error) {
      if (!(error instanceof UserError) || error instanceof WriteError) throw error;
      skipped.push({ name: source.path, reason: oneLine(error) });
      output.warn(`${source.path} is left out: ${oneLine(error)}`);
    }
    bar.update((index + 1) * count);
  }
  bar.finish();
  if (images.length === 0)
    throw new UserError(`degrade: nothing could be degraded: ${skipped[0]?.reason ?? "no images"}`);
  await writeTable(table, CAPTIONED_COLUMNS, rows);
  return { images, skipped };
}

async function degradeOne(
  device: Device,
  request: SynthesisRequest,
  photo: Image,
  { source, index, name }: { source: Source; index: number; name: string },
): Promise<{ draw: SemanticDraw; out: string }[]> {
  const { count, fit, options, folder, batchSize, adjust = (draw) => draw } = request;
  const side = fit === "crop" ? options.lqSize : REACH + 1;
  if (Math.min(photo.width, photo.height) < Math.max(side, REACH + 1)) {
    throw new UserError(
      `degrade: ${source.path} is ${photo.width}x${photo.height}: at least ${Math.max(side, REACH + 1)} pixels a side are needed`,
    );
  }
  const bytes = fit === "crop" ? 0 : photo.width * photo.height * 3 * Float32Array.BYTES_PER_ELEMENT;
  if (bytes > device.info.maxTensorBytes) {
    throw new UserError(
      `degrade: ${source.path} (${photo.width}x${photo.height}) is a tensor of ${bytes} bytes, over this adapter's limit of ${device.info.maxTensorBytes}: cut squares out with --fit crop`,
    );
  }
  const rng = new Rng(request.seed).fork("images").fork(index);
  const made: { draw: SemanticDraw; out: string }[] = [];
  for (let at = 0; at < count; at += batchSize) {
    const numbers = Array.from({ length: Math.min(batchSize, count - at) }, (_, i) => at + i);
    const draws = numbers.map((number) => adjust(drawSemantic(rng.fork(number).integer(2 ** 31), options)));
    const pieces = numbers.map((number) =>
      fit === "crop" ? randomCrop(photo, side, rng.fork(number).fork("crop")) : photo,
    );
    const results = await degradeImages(device, pieces, draws, request.chain);
    const written = numbers.map(async (number, i) => {
      const out = join(folder, `${name}${count > 1 ? `_${String(number + 1).padStart(3, "0")}` : ""}.png`);
      await writeImage(out, results[i]!);
      return { draw: draws[i]!, out };
    });
    made.push(...(await Promise.all(written)));
  }
  return made;
}

/** Degrades images of one size as drawn. → squares of the draws' `lqSize` */
export async function degradeImages(
  device: Device,
  images: readonly Image[],
  draws: readonly SemanticDraw[],
  chain: Chain,
): Promise<Image[]> {
  const { width, height } = images[0]!;
  using result = scope(() =>
    noGrad(() => degradeSemantic(device.tensor(toPlanes(images), [images.length, 3, height, width]), draws, { chain })),
  );
  const size = draws[0]!.lqSize;
  return fromPlanes(await result.data(), size, size);
}

/** A random square of an image. */
export function randomCrop(image: Image, side: number, rng: Rng): Image {
  const left = rng.integer(image.width - side + 1);
  const top = rng.integer(image.height - side + 1);
  return crop(image, { left, top, width: side, height: side });
}

/** The files' names without folder and ending, numbered where two would be the same. */
function uniqueNames(paths: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return paths.map((path) => {
    const name = stem(path);
    const times = (seen.get(name) ?? 0) + 1;
    seen.set(name, times);
    return times === 1 ? name : `${name}-${times}`;
  });
}
