/** What an SRCLIP answered image by image, and which levels it takes for which. */
import { type DegradationKind, isRight, likeliestPrompts } from "@deplsr/srclip";
import { nearestPrompt, shortLevel } from "./protocol.ts";

/** The answer about one degradation of one image. */
export interface Answer {
  readonly filepath: string;
  /** The degradation. */
  readonly kind: string;
  /** The level that the data set tells, `1.3`; of ringing `no` or `yes`. */
  readonly level: string;
  /** That of the likeliest prompt, and its probability; null where all are NaN, which is no answer and never right. */
  readonly answer: string | null;
  readonly probability: number | null;
  readonly right: boolean;
}

/** How often each level of a degradation is taken for which. */
export interface Confusion {
  /** The levels of the prompts, which rows and columns stand for. */
  readonly levels: readonly string[];
  /** Images by the level nearest to theirs (a row) and the level that was answered (a column). */
  readonly counts: readonly (readonly number[])[];
  /** The share of right answers in each row; null where it has no image. */
  readonly right: readonly (number | null)[];
}

/** An image, and what the data set says about one of its degradations. */
export interface LabelledImage {
  readonly path: string;
  readonly label: string;
}

/**
 * The answers about one kind of degradation.
 *
 * @param probabilities (images, prompts), row after row
 */
export function answersOf(
  kind: DegradationKind,
  probabilities: ArrayLike<number>,
  images: readonly LabelledImage[],
): Answer[] {
  const { name, prompts } = kind;
  const chosen = likeliestPrompts(kind, probabilities);
  return images.map(({ path, label }, image) => {
    const prompt = prompts[chosen[image]!];
    const asked = { filepath: path, kind: name, level: shortLevel(label) };
    if (prompt === undefined) return { ...asked, answer: null, probability: null, right: false };
    return {
      ...asked,
      answer: shortLevel(prompt),
      probability: probabilities[image * prompts.length + chosen[image]!]!,
      right: isRight(kind, label, prompt),
    };
  });
}

/** Counts the answers about one kind of degradation. @param labels the images' own texts, in the order of the answers */
export function confusionOf(kind: DegradationKind, answers: readonly Answer[], labels: readonly string[]): Confusion {
  const levels = kind.prompts.map(shortLevel);
  const counts = levels.map(() => levels.map(() => 0));
  const hits = levels.map(() => 0);
  const images = levels.map(() => 0);
  for (const [i, { answer, right }] of answers.entries()) {
    const row = nearestPrompt(kind, labels[i]!);
    images[row]!++;
    if (answer !== null) counts[row]![levels.indexOf(answer)]!++;
    if (right) hits[row]!++;
  }
  const right = hits.map((hit, row) => (images[row] === 0 ? null : hit / images[row]!));
  return { levels, counts, right };
}
