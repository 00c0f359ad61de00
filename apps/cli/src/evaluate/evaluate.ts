/** How well an SRCLIP recognises each of the five degradations on a captioned data set (spec/srclip.md, 9), and images their captions. */
import { encodeDistinct, Tokenizer } from "@deplsr/clip";
import { type ProcessGroup, SingleProcess } from "@deplsr/distributed";
import { normalized } from "@deplsr/restore";
import {
  type DegradationKind,
  encodePrompts,
  fineProbabilities,
  type SrCLIPV2,
  scoreDegradation,
} from "@deplsr/srclip";
import { exp, type HostArray, noGrad, scope, type Tensor } from "@deplsr/tensor";
import { CAPTIONED_COLUMNS, type CaptionedItem, readCaptioned } from "../data/captioned.ts";
import { toPlanes } from "../data/crop.ts";
import { fitImage } from "../data/fit.ts";
import { type Image, readImage } from "../data/image.ts";
import type { SkippedItem } from "../data/skipped.ts";
import { badRows } from "../data/tsv.ts";
import { oneLine, UserError } from "../errors.ts";
import { counted, type Output } from "../output.ts";
import { divide } from "../ranks/divide.ts";
import { fromFirst } from "../ranks/exchange.ts";
import { checkSameFiles } from "../ranks/same-files.ts";
import { type Answer, answersOf, type Confusion, confusionOf } from "./answers.ts";
import { bestConstant, nearestPrompt, type PromptStyle, shortLevel, styledKinds, templateOf } from "./protocol.ts";
import { type FoundFeatures, foundFeatures, RetrievalMeter, type RetrievalValues } from "./retrieval.ts";

/** Which of an item's texts is the first label, that of blur. */
const FIRST_LABEL = 2;

/** Shares by the names of the degradations. */
export type Shares = Readonly<Record<string, number>>;

/** What an evaluation found. */
export interface Evaluation {
  readonly accuracy: Shares;
  /** What guessing reaches. */
  readonly chance: Shares;
  /** What the best single answer reaches. */
  readonly constant: Shares;
  /** The level that it answers. */
  readonly constantAnswer: Readonly<Record<string, string>>;
  /** Which levels are taken for which, by the names of the degradations. */
  readonly confusion: Readonly<Record<string, Confusion>>;
  /** Image by image, degradation by degradation. */
  readonly answers: readonly Answer[];
  /** How well images and captions find each other, see `RetrievalValues`; null where the model does not know all words of the captions. */
  readonly retrieval: RetrievalValues | null;
  readonly images: number;
  /** Rows and images that could not be used. */
  readonly skipped: readonly SkippedItem[];
}

/** What is evaluated and how. */
export interface EvaluationOptions {
  /** The data set's TSV. */
  readonly data: string;
  readonly style: PromptStyle;
  readonly imageFit: "squash" | "crop";
  readonly batchSize: number;
  readonly output: Output;
  /** The processes that share the batches; default one. */
  readonly group?: ProcessGroup;
}

/** Runs the evaluation. @throws UserError when the data set cannot be read or holds no good image */
export async function evaluateSrclip(model: SrCLIPV2, options: EvaluationOptions): Promise<Evaluation> {
  const { data, style, batchSize, output, group = new SingleProcess() } = options;
  const kinds = styledKinds(style);
  const table = await fromFirst(group, () => readCaptioned(data));
  const { items, unlabelled } = labelled(table.items, kinds);
  await checkSameFiles(
    group,
    items.map(({ path }) => path),
  );
  const skipped = [...badRows(data, table.bad), ...unlabelled];
  const { text, embedDim } = model.config.clip;
  const { contextLength } = text;
  const tokenizer = new Tokenizer(undefined, text.tokens);
  const prompts = encodePrompts(model, model.logitScale.device, tokenizer, kinds, {
    template: templateOf(style),
    contextLength,
  });
  const captions = captionIds(items, tokenizer, contextLength, output);
  const meter = captions && new RetrievalMeter();
  const probabilities: number[][] = kinds.map(() => []);
  const used: CaptionedItem[] = [];
  const bar = output.progress("evaluate", items.length, "image");
  try {
    await divide(group, batchesOf(items, batchSize), {
      work: (batch) => seeBatch(batch),
      take: (seen, i) => {
        for (const [kind, values] of seen.probabilities.entries()) probabilities[kind]!.push(...values);
        if (seen.found) meter?.add(seen.found);
        used.push(...seen.used.map((place) => items[i * batchSize + place]!));
        skipped.push(...seen.skipped);
        bar.update(Math.min(items.length, (i + 1) * batchSize));
      },
    });
  } finally {
    bar.finish();
    for (const tensor of prompts) tensor.dispose();
  }
  return fromFirst(group, summarised);

  async function summarised(): Promise<Evaluation> {
    if (used.length === 0) {
      const { reason } = skipped[table.bad.length]!;
      throw new UserError(
        `evaluate: none of ${counted(table.items.length, "image")} of ${data} can be used: ${reason}`,
      );
    }
    const found = kinds.map((kind, i) => {
      const images = used.map(({ path, texts }) => ({ path, label: texts[FIRST_LABEL + i]! }));
      const labels = images.map(({ label }) => label);
      const answers = answersOf(kind, probabilities[i]!, images);
      return {
        score: scoreDegradation(kind, probabilities[i]!, labels),
        constant: bestConstant(kind, labels),
        confusion: confusionOf(kind, answers, labels),
        answers,
      };
    });
    const byName = <T>(value: (one: (typeof found)[number]) => T): Record<string, T> =>
      Object.fromEntries(kinds.map(({ name }, i) => [name, value(found[i]!)]));
    return {
      accuracy: byName(({ score }) => score.accuracy),
      chance: byName(({ score }) => score.chance),
      constant: byName(({ constant }) => constant.share),
      constantAnswer: byName(({ constant }) => shortLevel(constant.prompt)),
      confusion: byName(({ confusion }) => confusion),
      answers: used.flatMap((_, image) => found.map(({ answers }) => answers[image]!)),
      retrieval: meter && (await meter.values(model.logitScale, embedDim)),
      images: used.length,
      skipped,
    };
  }

  async function seeBatch(batch: readonly CaptionedItem[]): Promise<Seen> {
    const { read, skipped } = await readBatch(batch, model, options);
    if (read.length === 0) return { used: [], skipped, probabilities: [], found: null };
    const images = read.map(({ image }) => image);
    const ids = captions && Int32Array.from(read.flatMap(({ place }) => [...captions.get(batch[place]!)!]));
    const seen = encodeBatch(model, images, ids, prompts);
    try {
      return {
        used: read.map(({ place }) => place),
        skipped,
        probabilities: await Promise.all(seen.probabilities.map((tensor) => tensor.data())),
        found: seen.found && (await foundFeatures(seen.found)),
      };
    } finally {
      for (const tensor of [...Object.values(seen.found ?? {}), ...seen.probabilities]) tensor.dispose();
    }
  }
}

function batchesOf<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}

/** What was seen in a batch, on the host. */
interface Seen {
  /** Places in the batch of the images that could be read. */
  readonly used: readonly number[];
  readonly skipped: readonly SkippedItem[];
  /** Of each kind's prompts, image after image. */
  readonly probabilities: readonly HostArray[];
  readonly found: FoundFeatures | null;
}

/** Parts the images whose labels can be understood from those with one that cannot. */
function labelled(
  items: readonly CaptionedItem[],
  kinds: readonly DegradationKind[],
): { items: CaptionedItem[]; unlabelled: SkippedItem[] } {
  const unlabelled: SkippedItem[] = [];
  const usable = items.filter(({ path, texts }) => {
    for (const [i, kind] of kinds.entries()) {
      try {
        nearestPrompt(kind, texts[FIRST_LABEL + i]!);
      } catch (error) {
        const expected = kind.tolerance === null ? "" : `, as "${kind.prompts[1]}" does`;
        const reason = `${CAPTIONED_COLUMNS[1 + FIRST_LABEL + i]}: ${oneLine(error)}${expected}`;
        unlabelled.push({ name: path, reason });
        return false;
      }
    }
    return true;
  });
  return { items: usable, unlabelled };
}

/** The images that can be read, with their places in the batch, and the others. */
async function readBatch(
  items: readonly CaptionedItem[],
  model: SrCLIPV2,
  { imageFit }: EvaluationOptions,
): Promise<{ read: { place: number; image: Image }[]; skipped: SkippedItem[] }> {
  const { imageSize } = model.config.clip.vision;
  const read = items.map(async ({ path }) => fitImage(await readImage(path), imageSize, imageFit));
  const ends = await Promise.allSettled(read);
  const skipped: SkippedItem[] = [];
  const good = ends.flatMap((end, place) => {
    if (end.status === "fulfilled") return [{ place, image: end.value }];
    skipped.push({ name: items[place]!.path, reason: oneLine(end.reason) });
    return [];
  });
  return { read: good, skipped };
}

/** Each item's caption as token ids; null, with a warning, where the model does not know all of their words. */
function captionIds(
  items: readonly CaptionedItem[],
  tokenizer: Tokenizer,
  contextLength: number,
  output: Output,
): Map<CaptionedItem, Int32Array> | null {
  try {
    return new Map(items.map((item) => [item, tokenizer.tokenize([item.texts[0]!], contextLength)]));
  } catch (error) {
    output.warn(`captions are not looked for among images, nor images among captions: ${oneLine(error)}`);
    return null;
  }
}

/** What a model makes of a batch. */
interface SeenBatch {
  /** Of each kind's prompts, (b, prompts). */
  readonly probabilities: readonly Tensor[];
  /** Features of length 1, (b, embedDim), and a scalar; null without captions. */
  readonly found: { readonly content: Tensor; readonly captions: Tensor; readonly logitScale: Tensor } | null;
}

function encodeBatch(
  model: SrCLIPV2,
  images: readonly Image[],
  captions: Int32Array | null,
  prompts: readonly Tensor[],
): SeenBatch {
  const { imageSize } = model.config.clip.vision;
  const { device } = model.logitScale;
  return noGrad(() =>
    scope(() => {
      const planes = device.tensor(toPlanes(images), [images.length, 3, imageSize, imageSize]);
      const { content, fine } = model.encodeImage(normalized(planes), { normalize: true });
      return {
        probabilities: fineProbabilities(fine, prompts),
        found: captions && {
          content,
          captions: encodeDistinct(model.clip, captions, { normalize: true }),
          logitScale: exp(model.logitScale),
        },
      };
    }),
  );
}
