/** The demo's data: degraded squares with captions for SRCLIP, and pairs for super-resolution. */
import { join } from "node:path";
import { SingleProcess } from "@deplsr/distributed";
import { type Device, interpolate, noGrad, Rng, scope } from "@deplsr/tensor";
import { crop, fromPlanes, toPlanes } from "../data/crop.ts";
import { type Image, readImage, writeImage } from "../data/image.ts";
import { degradeImages, randomCrop } from "../degrade/images.ts";
import { planImages, semanticRecipes } from "../degrade/plan.ts";
import { type SynthesisResult, synthesize } from "../degrade/synthesize.ts";
import type { Output } from "../output.ts";
import type { DemoPhoto } from "./photos.ts";
import {
  COMPARISON_SIDE,
  PAIR_DAMAGE,
  PAIR_SIDE,
  PAIRS_PER_PHOTO,
  PLACES,
  roundLevels,
  SCALE,
  SQUARE,
  SQUARE_DAMAGE,
  SQUARES_PER_HELD_OUT,
} from "./recipe.ts";

/** What was made. */
export interface DemoData {
  readonly training: SynthesisResult;
  readonly heldOut: SynthesisResult;
  readonly pairs: number;
}

/** An original and its damaged version, `SCALE` times smaller. */
export interface DamagedPair {
  readonly gt: Image;
  readonly lq: Image;
}

/**
 * Makes everything below the demo's folder.
 *
 * @param options `squares`: degraded squares of each photograph that SRCLIP learns from
 */
export async function makeData(
  device: Device,
  photos: readonly DemoPhoto[],
  { folder, squares: perPhoto, seed, output }: { folder: string; squares: number; seed: number; output: Output },
): Promise<DemoData> {
  const squares = (heldOut: boolean): Promise<SynthesisResult> => {
    const sources = photos.filter((photo) => photo.heldOut === heldOut);
    const titles = new Map(sources.map(({ path, title }) => [path, title]));
    const table = join(folder, heldOut ? PLACES.heldOut : PLACES.training);
    const records = table.replace(/tsv$/, "jsonl");
    const plans = planImages({
      sources,
      count: heldOut ? SQUARES_PER_HELD_OUT : perPhoto,
      square: SQUARE_DAMAGE.lqSize,
      seed,
      draw: semanticRecipes(SQUARE_DAMAGE, "reference", roundLevels),
      folder: join(folder, PLACES.degraded),
      originals: null,
      records,
    });
    const captions = { known: (path: string) => titles.get(path) ?? "", ask: async () => "" };
    const request = { plans, records, table, captions, fallback: "", leastSide: SQUARE, batchSize: 48, jobs: 1 };
    return synthesize(device, request, { output, group: new SingleProcess() });
  };
  const training = await squares(false);
  const heldOut = await squares(true);
  const seen = photos.filter((photo) => !photo.heldOut);
  for (const [index, photo] of seen.entries()) {
    const rng = new Rng(seed).fork("pairs").fork(index);
    const image = await readImage(photo.path);
    const originals = Array.from({ length: PAIRS_PER_PHOTO }, (_, i) =>
      randomCrop(image, PAIR_SIDE, rng.fork(i).fork("crop")),
    );
    const made = await damagedPairs(device, originals, rng);
    await Promise.all(
      made.flatMap(({ gt, lq }, i) => [
        writeImage(join(folder, PLACES.gt, `${photo.name}_${i + 1}.png`), gt),
        writeImage(join(folder, PLACES.lq, `${photo.name}_${i + 1}.png`), lq),
      ]),
    );
  }
  return { training, heldOut, pairs: seen.length * PAIRS_PER_PHOTO };
}

/** The pair of the comparison: the middle of a photograph, damaged in the same way at every run with one seed. */
export async function comparisonPair(device: Device, photo: DemoPhoto, seed: number): Promise<DamagedPair> {
  const image = await readImage(photo.path);
  const middle = {
    left: Math.floor((image.width - COMPARISON_SIDE) / 2),
    top: Math.floor((image.height - COMPARISON_SIDE) / 2),
    width: COMPARISON_SIDE,
    height: COMPARISON_SIDE,
  };
  return (await damagedPairs(device, [crop(image, middle)], new Rng(seed).fork("comparison")))[0]!;
}

/** Squares of one size, each made smaller and then damaged. */
async function damagedPairs(device: Device, originals: readonly Image[], rng: Rng): Promise<DamagedPair[]> {
  const side = originals[0]!.width;
  const count = originals.length;
  const small = side / SCALE;
  using smaller = scope(() =>
    noGrad(() =>
      interpolate(device.tensor(toPlanes(originals), [count, 3, side, side]), {
        mode: "bicubic",
        size: [small, small],
        antialias: true,
        cubicA: -0.5,
      }),
    ),
  );
  const draw = semanticRecipes({ ...PAIR_DAMAGE, lqSize: small }, "reference");
  const recipes = originals.map((_, i) => draw(rng.fork(i).integer(2 ** 31)));
  const damaged = await degradeImages(device, fromPlanes(await smaller.data(), small, small), recipes);
  return originals.map((gt, i) => ({ gt, lq: damaged[i]! }));
}
