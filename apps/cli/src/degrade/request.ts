/** From the flags of `deplsr degrade` to what shall be made. */
import { isAbsolute, join, relative, resolve } from "node:path";
import type { SecondOrderOptions, SemanticOptions } from "@deplsr/degradation";
import type { ProcessGroup } from "@deplsr/distributed";
import type { z } from "zod";
import type { CaptionFlags, DeviceFlags, SharedContext } from "../commands/command.ts";
import { secondOrderRun, semanticRun } from "../config/degrade.ts";
import { parseConfig, readConfig } from "../config/parse.ts";
import { resolveBeside } from "../data/captioned.ts";
import { checkCaptionFlags, readCaptioner } from "../data/captioner.ts";
import { LARGEST_SIDE } from "../data/image.ts";
import type { SkippedItem } from "../data/skipped.ts";
import { UsageError, UserError } from "../errors.ts";
import { checkWhole, MOST_JOBS } from "../flags.ts";
import type { Output } from "../output.ts";
import { fromFirst } from "../ranks/exchange.ts";
import { checkSame } from "../ranks/same.ts";
import { secondOrderOptions, semanticOptions, smallestSide } from "./options.ts";
import { placeImages } from "./placement.ts";
import { type Plan, planImages, type Recipe, secondOrderRecipes, semanticRecipes } from "./plan.ts";
import { readRecords } from "./records.ts";
import type { SynthesisRequest } from "./synthesize.ts";

/** The flags of `deplsr degrade`. */
export interface DegradeFlags extends DeviceFlags, CaptionFlags {
  readonly images: string[];
  readonly out: string | undefined;
  readonly pipeline: "semantic" | "second-order";
  readonly config: string | undefined;
  readonly caption: string;
  readonly count: number;
  readonly fit: "squash" | "crop";
  readonly chain: "reference" | "sequential";
  readonly size: number | undefined;
  readonly scale: number | undefined;
  readonly seed: number | undefined;
  readonly jobs: number;
  readonly preview: boolean;
}

/** A data set that is asked for. */
export interface Wanted {
  readonly request: SynthesisRequest;
  /** Where the contact sheet goes; null for none. */
  readonly preview: string | null;
  /** Entries of lists that cannot be used. */
  readonly skipped: readonly SkippedItem[];
}

/** Side of the squares that pairs are made of, as in the original. */
const PAIR_SQUARE = 512;
/** Squares of one photograph that are degraded together. */
const BATCH = 16;

/** What a configuration says, with the flags that stand above it. */
interface Settings {
  readonly options: SemanticOptions | SecondOrderOptions;
  readonly draw: (seed: number) => Recipe;
  readonly seed: number;
  /** Side of the squares that are cut out; null for the whole photograph. */
  readonly square: number | null;
  /** How much smaller the images of pairs are; null where there are no pairs. */
  readonly scale: number | null;
  /** Photographs, the folder that they count from and the data set's folder, for want of flags. */
  readonly inputs: readonly string[];
  readonly root: string | null;
  readonly out: string | null;
}

/** What the flags ask for. @throws UsageError, UserError for wrong flags, configurations, lists and photographs' names */
export async function wantedSet(flags: DegradeFlags, { output, group }: SharedContext): Promise<Wanted> {
  checkNumbers(flags);
  const [first, second] = flags.images;
  if (first?.endsWith(".jsonl") && second === undefined) return recordedSet(first, flags, group);
  const settings = flags.pipeline === "semantic" ? await semantic(flags, output) : await secondOrder(flags, output);
  const { options, draw, seed, square, scale } = settings;
  await checkSame(group, { config: { ...options, seed } });
  const leastSide = smallestSide(options);
  if (square !== null && square < leastSide) {
    throw new UsageError(`--size ${square} is too small: these options need squares of at least ${leastSide} pixels`);
  }
  const inputs = first === undefined ? settings.inputs : flags.images;
  if (inputs.length === 0)
    throw new UsageError("which photographs? Name files, folders or lists (see deplsr degrade --help)");
  const place = await fromFirst(group, () =>
    placeImages(inputs, {
      root: flags.root ?? settings.root ?? undefined,
      out: flags.out ?? settings.out,
      scale,
      squares: square !== null,
    }),
  );
  const { out, folder } = place;
  const records = join(folder, "degraded.jsonl");
  const plans = planImages({ ...place, count: flags.count, square, seed, draw, records });
  const captions = await readCaptioner(place, { ...flags, fallback: flags.caption }, output);
  const request: SynthesisRequest = {
    plans,
    records,
    table: scale === null ? join(folder, "degraded.tsv") : null,
    captions,
    fallback: flags.caption,
    leastSide,
    batchSize: scale === null && square !== null ? BATCH : 1,
    jobs: flags.jobs,
  };
  return { request, preview: flags.preview ? previewOf(out, request) : null, skipped: place.skipped };
}

/** The images of a file of records once more. */
async function recordedSet(
  file: string,
  { out, caption, jobs, preview }: DegradeFlags,
  group: ProcessGroup,
): Promise<Wanted> {
  if (out === undefined) throw new UsageError("--out is missing: say where the images shall be written");
  const made = await fromFirst(group, () => readRecords(file));
  const pair = made.find((record) => record.pipeline === "second-order");
  const folder = pair === undefined ? out : join(out, `X${pair.draw.scale}`);
  const titles = new Map<string, string>();
  const plans = made.map(({ title, ...plan }): Plan => {
    const path = resolveBeside(file, plan.in);
    if (title !== null) titles.set(resolve(path), title);
    return { ...plan, in: isAbsolute(path) ? path : relative(folder, path) };
  });
  const request: SynthesisRequest = {
    plans,
    records: join(folder, "degraded.jsonl"),
    table: pair === undefined ? join(folder, "degraded.tsv") : null,
    captions: { known: (path) => titles.get(resolve(path)) ?? caption, ask: null },
    fallback: caption,
    leastSide: 1,
    batchSize: 1,
    jobs,
  };
  return { request, preview: preview ? previewOf(out, request) : null, skipped: [] };
}

/** The contact sheet's place, which must not be that of an image. */
function previewOf(out: string, { plans, records }: SynthesisRequest): string {
  const preview = join(out, "preview.png");
  const taken = plans.find((plan) => resolve(resolveBeside(records, plan.out)) === resolve(preview));
  if (taken === undefined) return preview;
  throw new UserError(
    `output: ${preview} is the contact sheet's: rename the photograph ${taken.in}, or leave out --preview`,
  );
}

async function semantic(flags: DegradeFlags, output: Output): Promise<Settings> {
  if (flags.scale !== undefined) throw new UsageError("--scale goes with --pipeline second-order");
  const config = await configOf(flags, semanticRun, output);
  const { train } = config.datasets;
  const file = flags.config ?? "(defaults)";
  const options = semanticOptions(
    { ...config, datasets: { train: { ...train, lq_size: flags.size ?? train.lq_size } } },
    file,
  );
  return {
    options,
    draw: semanticRecipes(options, flags.chain),
    seed: flags.seed ?? config.manual_seed,
    square: flags.fit === "crop" ? options.lqSize : null,
    scale: null,
    ...placesOf(train),
    out: null,
  };
}

async function secondOrder(flags: DegradeFlags, output: Output): Promise<Settings> {
  if (flags.chain !== "reference") throw new UsageError("--chain goes with --pipeline semantic");
  const square = flags.fit === "crop" ? (flags.size ?? PAIR_SQUARE) : null;
  if (square === null && flags.size !== undefined) throw new UsageError("--size goes with --fit crop here");
  if (square === null && flags.count > 1) {
    throw new UsageError("--count above 1 goes with --fit crop here: every image needs an original of its own");
  }
  const config = await configOf(flags, secondOrderRun, output);
  const scale = flags.scale ?? config.scale;
  if (square !== null && square % scale !== 0) {
    throw new UsageError(`--size ${square} must be a multiple of the scale, ${scale}`);
  }
  const { train } = config.datasets;
  const out = flags.out ?? train.dataroot_lq;
  if (square !== null && out === null) throw new UsageError("--out is missing: say where the squares shall be written");
  if (train.use_hflip || train.use_rot) {
    output.warn("config: use_hflip and use_rot are not used: the originals on the disk are not turned either");
  }
  const options = secondOrderOptions({ ...config, scale }, flags.config ?? "(defaults)");
  return {
    options,
    draw: secondOrderRecipes(options),
    seed: flags.seed ?? config.manual_seed,
    square,
    scale,
    ...placesOf(train),
    out,
  };
}

/** Where a configuration's photographs are. */
function placesOf({
  dataroot_gt: folder,
  meta_info: list,
}: {
  dataroot_gt: string | null;
  meta_info: string | null;
}): Pick<Settings, "inputs" | "root"> {
  const input = list ?? folder;
  return { inputs: input === null ? [] : [input], root: folder };
}

async function configOf<S extends z.ZodType>(flags: DegradeFlags, schema: S, output: Output): Promise<z.output<S>> {
  const { config, warnings } =
    flags.config === undefined ? parseConfig("", "(defaults)", schema) : await readConfig(flags.config, schema);
  for (const warning of warnings) output.warn(warning);
  return config;
}

function checkNumbers(flags: DegradeFlags): void {
  checkWhole("count", flags.count, 1);
  checkWhole("jobs", flags.jobs, 1, MOST_JOBS);
  checkWhole("size", flags.size, 1, LARGEST_SIDE);
  checkWhole("scale", flags.scale, 1, LARGEST_SIDE);
  checkWhole("seed", flags.seed, 0);
  checkCaptionFlags(flags);
  if (flags.caption.trim() === "")
    throw new UsageError("--caption is empty: say what photographs without a caption show");
}
