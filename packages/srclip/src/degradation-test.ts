import { normalizeFeatures, type Tokenizer } from "@deplsr/clip";
import { type Device, matmul, mul, noGrad, scope, select, softmax, type Tensor, transpose } from "@deplsr/tensor";
import type { ImageFeatures, ImageOptions } from "./features.ts";

/** One kind of degradation and the texts that a model chooses between. */
export interface DegradationKind {
  readonly name: string;
  readonly prompts: readonly string[];
  /** Texts are right when their numbers differ by less than this; null: when they are equal. */
  readonly tolerance: number | null;
}

/** The published protocol, in the order of the single degradations of SrCLIPV2. */
export const DEGRADATION_KINDS: readonly DegradationKind[] = [
  { name: "blur", prompts: ["0.0", "1.0", "2.0", "3.0"].map((sigma) => `blur with sigma:${sigma}`), tolerance: 0.5 },
  { name: "gaussian", prompts: ["0", "15", "30"].map((sigma) => `gaussian noise with sigma:${sigma}`), tolerance: 10 },
  {
    name: "poisson",
    prompts: ["0.0", "1.0", "2.0", "3.0"].map((scale) => `poisson noise with scale:${scale}`),
    tolerance: 0.5,
  },
  {
    name: "jpeg",
    prompts: ["30", "50", "70", "90"].map((factor) => `jpeg with quality factor:${factor}`),
    tolerance: 10,
  },
  {
    name: "ringing",
    prompts: ["no ringing and overshoot artifacts", "ringing and overshoot artifacts"],
    tolerance: null,
  },
];

/** The same kinds in finer steps, for photographs of which nothing is known: wording as in the published protocol. */
export const DIAGNOSIS_KINDS: readonly DegradationKind[] = DEGRADATION_KINDS.map((kind) => {
  const steps = Array.from({ length: 7 }, (_, i) => i);
  switch (kind.name) {
    case "blur":
      return { ...kind, prompts: steps.map((i) => `blur with sigma:${(i / 2).toFixed(1)}`) };
    case "gaussian":
      return { ...kind, prompts: steps.map((i) => `gaussian noise with sigma:${5 * i}`) };
    case "poisson":
      return { ...kind, prompts: steps.map((i) => `poisson noise with scale:${(i / 2).toFixed(1)}`) };
    case "jpeg":
      return { ...kind, prompts: steps.map((i) => `jpeg with quality factor:${30 + 10 * i}`) };
    default:
      return kind;
  }
});

/** Wraps a prompt as in the published protocol. */
export function photoWith(prompt: string): string {
  return `A photo with ${prompt}`;
}

/** The number behind the last colon. @throws Error when there is none. */
export function degradationLevel(text: string): number {
  const level = /:\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*$/i.exec(text)?.[1];
  if (level === undefined) throw new Error(`"${text}" does not end in a number after a colon`);
  return Number(level);
}

/** Whether a chosen prompt is right for an image that is described by `label`. */
export function isRight(kind: DegradationKind, label: string, prompt: string): boolean {
  if (kind.tolerance === null) return label === prompt;
  return Math.abs(degradationLevel(label) - degradationLevel(prompt)) < kind.tolerance;
}

/** A model with features of images, their single degradations among them, and of texts. */
export interface DegradationReader {
  encodeImage(image: Tensor, options?: ImageOptions): ImageFeatures;
  encodeText(ids: Tensor): Tensor;
}

/** How prompts become features. */
export interface PromptOptions {
  /** Texts around the prompts, `photoWith` by default. */
  readonly template?: (prompt: string) => string;
  /** Tokens of a text, those of the model. */
  readonly contextLength: number;
}

/** Features of each kind's prompts, (prompts, embedDim) of length 1, to be used for all images. */
export function encodePrompts(
  model: DegradationReader,
  device: Device,
  tokenizer: Tokenizer,
  kinds: readonly DegradationKind[],
  { template = photoWith, contextLength }: PromptOptions,
): Tensor[] {
  return noGrad(() =>
    scope(() =>
      kinds.map(({ prompts }) => {
        const ids = tokenizer.tensor(device, prompts.map(template), contextLength);
        return normalizeFeatures(model.encodeText(ids));
      }),
    ),
  );
}

/**
 * Probabilities of each kind's prompts for images `(b, 3, s, s)`: for each kind (b, prompts), the softmax of 100 times the
 * cosines.
 *
 * @throws Error when the model has fewer single degradations than there are kinds.
 */
export function degradationProbabilities(
  model: DegradationReader,
  image: Tensor,
  promptFeatures: readonly Tensor[],
): Tensor[] {
  return noGrad(() =>
    scope(() => fineProbabilities(model.encodeImage(image, { normalize: true }).fine, promptFeatures)),
  );
}

/**
 * The same from features of single degradations (b, kinds, embedDim) of length 1.
 *
 * @param scale the factor on the cosines, as a number or a scalar
 * @throws Error when there are fewer of them than kinds are asked for
 */
export function fineProbabilities(
  fine: Tensor | null,
  promptFeatures: readonly Tensor[],
  scale: number | Tensor = 100,
): Tensor[] {
  if (!fine || fine.shape[1]! < promptFeatures.length) {
    throw new Error(
      `degradationProbabilities: the model tells ${fine?.shape[1] ?? 0} single degradations apart, ${promptFeatures.length} are asked for`,
    );
  }
  return promptFeatures.map((text, kind) =>
    softmax(mul(matmul(select(fine, 1, kind), transpose(text, 0, 1)), scale), 1),
  );
}

/** Share of right answers of one kind, and what choosing a prompt at random would reach. */
export interface DegradationScore {
  readonly name: string;
  readonly accuracy: number;
  readonly chance: number;
  readonly images: number;
}

/**
 * Which prompt each image's probabilities make the likeliest one: its index, -1 where they are NaN.
 *
 * @param probabilities (images, prompts), row after row
 * @throws RangeError when they are not whole rows
 */
export function likeliestPrompts({ name, prompts }: DegradationKind, probabilities: ArrayLike<number>): number[] {
  const images = probabilities.length / prompts.length;
  if (!Number.isInteger(images)) {
    throw new RangeError(
      `likeliestPrompts: ${name}: ${probabilities.length} probabilities are no rows of ${prompts.length} prompts`,
    );
  }
  return Array.from({ length: images }, (_, image) => {
    const row = prompts.map((_, prompt) => probabilities[image * prompts.length + prompt]!);
    return row.indexOf(Math.max(...row));
  });
}

/**
 * Scores one kind.
 *
 * @param probabilities (images, prompts), row after row
 * @param labels the images' own descriptions of this kind
 * @throws RangeError when the two do not fit together, or there are no images
 */
export function scoreDegradation(
  kind: DegradationKind,
  probabilities: ArrayLike<number>,
  labels: readonly string[],
): DegradationScore {
  const { name, prompts } = kind;
  if (labels.length === 0 || probabilities.length !== labels.length * prompts.length) {
    throw new RangeError(
      `scoreDegradation: ${name}: ${probabilities.length} probabilities are not ${labels.length} images of ${prompts.length} prompts`,
    );
  }
  const chosen = likeliestPrompts(kind, probabilities);
  let hits = 0;
  let chance = 0;
  for (const [image, label] of labels.entries()) {
    const prompt = prompts[chosen[image]!];
    if (prompt !== undefined && isRight(kind, label, prompt)) hits++;
    chance += prompts.filter((other) => isRight(kind, label, other)).length / prompts.length;
  }
  return { name, accuracy: hits / labels.length, chance: chance / labels.length, images: labels.length };
}
