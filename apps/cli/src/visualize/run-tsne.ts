/** The command `visualize tsne`: a fine feature of many images on a plane. */
import { basename } from "node:path";
import { FINE_FEATURES } from "@deplsr/degradation";
import { imageFeatures } from "@deplsr/restore";
import { encodePrompts } from "@deplsr/srclip";
import { type Device, noGrad, scope, select } from "@deplsr/tensor";
import sharp from "sharp";
import type { Context, DeviceFlags } from "../commands/command.ts";
import type { DegradationName } from "../data/captioned.ts";
import { withDevice } from "../device.ts";
import { type AskedSrclip, askSrclip } from "../diagnose/asked.ts";
import { oneLine, UsageError, UserError } from "../errors.ts";
import { styledKinds, templateOf } from "../evaluate/protocol.ts";
import { writeFileAtomic } from "../files.ts";
import { checkWhole } from "../flags.ts";
import { counted } from "../output.ts";
import { readPhoto } from "../photo/read.ts";
import { dot } from "./pca.ts";
import { type PlaceFlags, placesFor } from "./places.ts";
import { type DataImage, dataImages, type GroupBy, kindOf, levelsOf, nearestLevel, sampled } from "./points.ts";
import { type ScatterPoint, scatterPlot } from "./scatter.ts";
import { leastPoints, tsne } from "./tsne.ts";

/** The flags of `deplsr visualize tsne`. */
export interface TsneFlags extends DeviceFlags, PlaceFlags {
  readonly data: string;
  readonly srclip: string;
  readonly kind: DegradationName;
  readonly by: GroupBy | undefined;
  readonly perplexity: number;
  readonly seed: number;
  readonly limit: number;
}

/** An image with its place among the features. */
interface Seen extends DataImage {
  readonly feature: Float32Array;
  /** The level that the SRCLIP finds likeliest, by its index. */
  readonly predicted: number;
}

/** Pixels of the PNG for each of the SVG. */
const SHARPNESS = 2;
const ITERATIONS = 1000;

/** Does what `deplsr visualize tsne` asks for. */
export async function runTsne(flags: TsneFlags, context: Context): Promise<void> {
  const { output } = context;
  const { kind, perplexity, seed } = flags;
  checkWhole("seed", seed, 0);
  checkWhole("limit", flags.limit, 1);
  if (!(perplexity >= 1 && Number.isFinite(perplexity)))
    throw new UsageError(`--perplexity ${perplexity} must be a number of at least 1`);
  const found = await dataImages(flags.data, kind);
  for (const { name, reason } of found.skipped) output.warn(`${name} is left out: ${reason}`);
  const by = flags.by ?? found.natural;
  if (by === "label" && found.images[0]!.label === null)
    throw new UsageError(`--by label: the images of a folder have no labels: give a TSV, or --by folder or predicted`);
  const images = sampled(found.images, flags.limit, seed);
  checkCount(images.length, perplexity);
  // A label without a level is told before the work.
  if (by === "label") for (const { label } of images) nearestLevel(kind, label!);
  const places = await placesFor(flags.data, [`tsne_${kind}.svg`, `tsne_${kind}.png`], flags);
  const [svgFile, pngFile] = places as [string, string];
  if (images.length < found.images.length)
    output.line(`${images.length} of ${found.images.length} images are shown: --limit takes more`);
  await withDevice(flags, context, async (device) => {
    const seen = await lookAt(device, await askSrclip(device, flags.srclip), images, { kind, context });
    checkCount(seen.length, perplexity);
    const bar = output.progress("t-SNE", ITERATIONS, "iteration");
    const positions = tsne(
      seen.map(({ feature }) => feature),
      { perplexity, seed, iterations: ITERATIONS, onIteration: (done) => done % 50 === 0 && bar.update(done) },
    );
    bar.finish();
    const { groups, groupOf } = grouping(seen, by, kind);
    const points = seen.map((image, i) => pointOf(image, positions[i]!, { kind, group: groupOf(image) }));
    const svg = scatterPlot(points, {
      title: `${basename(flags.data)}: the ${kind} feature of ${counted(seen.length, "image")}`,
      legend: by === "predicted" ? "predicted" : by === "label" ? "label, nearest level" : "folder",
      groups,
      ordered: by !== "folder" && groups.length > 2,
    });
    await writeFileAtomic(svgFile, svg);
    await writeFileAtomic(
      pngFile,
      await sharp(Buffer.from(svg), { density: 72 * SHARPNESS })
        .png()
        .toBuffer(),
    );
    output.line(`${svgFile}, ${pngFile}: ${counted(seen.length, "image")}, coloured by ${by}`);
    output.result({
      files: places,
      kind,
      by,
      points: seen.map(({ path, label, predicted, folder }, i) => {
        const [x, y] = positions[i]!;
        return { path, x, y, folder, label, predicted: levelsOf(kind)[predicted] };
      }),
    });
  });
}

/** @throws UserError when there are too few images for a perplexity */
function checkCount(images: number, perplexity: number): void {
  const least = leastPoints(perplexity);
  if (images >= least) return;
  const would = Math.floor((images - 1) / 3);
  const advice = would < 1 ? "give at least 4 images" : `--perplexity ${would} would do, or give more images`;
  throw new UserError(
    `visualize: ${counted(images, "image")} for a perplexity of ${perplexity}, which needs ${least}: ${advice}`,
  );
}

/** Features and predictions of images; those that cannot be read are left out. */
async function lookAt(
  device: Device,
  { model, protocol, prompt, tokenizer }: AskedSrclip,
  images: readonly DataImage[],
  { kind, context: { output } }: { readonly kind: DegradationName; readonly context: Context },
): Promise<Seen[]> {
  const { contextLength } = model.config.clip.text;
  const kinds = styledKinds(protocol, [kindOf(kind)]);
  const [texts] = encodePrompts(model, device, tokenizer, kinds, { template: templateOf(protocol), contextLength });
  const width = texts!.shape[1]!;
  const values = await texts!.data();
  const prompts = Array.from({ length: texts!.shape[0]! }, (_, i) => values.slice(i * width, (i + 1) * width));
  const seen: Seen[] = [];
  const bar = output.progress("features", images.length, "image");
  for (const [i, image] of images.entries()) {
    try {
      const photo = await readPhoto(image.path);
      using slot = noGrad(() =>
        scope(() => select(imageFeatures(model, photo, prompt).fine!, 1, FINE_FEATURES.indexOf(kind))),
      );
      const feature = Float32Array.from(await slot.data());
      const cosines = prompts.map((text) => dot(text, feature));
      seen.push({ ...image, feature, predicted: cosines.indexOf(Math.max(...cosines)) });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      output.warn(`${image.path} is left out: ${oneLine(error)}`);
    }
    bar.update(i + 1);
  }
  bar.finish();
  return seen;
}

/** The groups that images are coloured by, and which of them an image is in. */
function grouping(
  seen: readonly Seen[],
  by: GroupBy,
  kind: DegradationName,
): { groups: string[]; groupOf: (image: Seen) => number } {
  if (by === "predicted") return { groups: levelsOf(kind), groupOf: ({ predicted }) => predicted };
  if (by === "label") return { groups: levelsOf(kind), groupOf: ({ label }) => nearestLevel(kind, label!) };
  const order = new Intl.Collator("en", { numeric: true });
  const groups = [...new Set(seen.map(({ folder }) => folder))].sort(order.compare);
  return { groups, groupOf: ({ folder }) => groups.indexOf(folder) };
}

function pointOf(
  { path, folder, label, predicted }: Seen,
  [x, y]: readonly [number, number],
  { kind, group }: { readonly kind: DegradationName; readonly group: number },
): ScatterPoint {
  const told = label === null ? "" : `; label: ${label}`;
  return { x, y, group, title: `${folder}/${basename(path)}${told}; predicted: ${levelsOf(kind)[predicted]}` };
}
