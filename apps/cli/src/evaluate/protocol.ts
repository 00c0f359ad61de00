/** How the prompts of the evaluation are worded, and what always giving one answer would reach. */
import { DEGRADATION_KINDS, type DegradationKind, degradationLevel, isRight, photoWith } from "@deplsr/srclip";
import { UserError } from "../errors.ts";

/** How prompts are worded. */
export interface PromptStyle {
  /** What surrounds a prompt, which stands for `{prompt}` in it. */
  readonly template: string;
  /** `original`: levels as the original writes them, `15` and `70` but `1.0`. `training`: as in the texts of the data set, `15.0`. */
  readonly levels: "original" | "training";
}

/** The original's wording. */
export const ORIGINAL_STYLE: PromptStyle = { template: photoWith("{prompt}"), levels: "original" };
/** The data set's own wording: for networks that have read nothing else. */
export const TRAINING_STYLE: PromptStyle = { template: "{prompt}", levels: "training" };

/** Kinds of degradation with their prompts in a style. @param kinds in the original's wording; those of the evaluation by default */
export function styledKinds(
  { levels }: Pick<PromptStyle, "levels">,
  kinds: readonly DegradationKind[] = DEGRADATION_KINDS,
): DegradationKind[] {
  if (levels === "original") return [...kinds];
  // Absent gaussian noise is "0" in the data set too.
  return kinds.map((kind) => ({
    ...kind,
    prompts: kind.prompts.map((prompt) => prompt.replace(/:([1-9]\d*)$/, ":$1.0")),
  }));
}

/** A template as a function. @throws UserError when it has no `{prompt}` */
export function templateOf({ template }: PromptStyle): (prompt: string) => string {
  if (!template.includes("{prompt}")) {
    throw new UserError(`evaluate: the template ${JSON.stringify(template)} has no {prompt} in it: add it`);
  }
  return (prompt) => template.replace("{prompt}", prompt);
}

/** Which prompt's level is nearest to what a text says, of two equally near ones the first. @throws Error of one line when it says none */
export function nearestPrompt({ prompts, tolerance }: DegradationKind, text: string): number {
  if (tolerance === null) {
    const found = prompts.indexOf(text);
    if (found < 0) throw new Error(`"${text}" is neither ${prompts.map((prompt) => `"${prompt}"`).join(" nor ")}`);
    return found;
  }
  const level = degradationLevel(text);
  const distances = prompts.map((prompt) => Math.abs(degradationLevel(prompt) - level));
  return distances.indexOf(Math.min(...distances));
}

/** A text's level in few characters: what stands behind its last colon, else whether it says that there is any, `no` or `yes`. */
export function shortLevel(text: string): string {
  const colon = text.lastIndexOf(":");
  if (colon >= 0) return text.slice(colon + 1).trim();
  return text.startsWith("no ") ? "no" : "yes";
}

/** The answer that is right most often when it is always given. */
export interface ConstantAnswer {
  /** The prompt. */
  readonly prompt: string;
  /** The share of images for which it is right. */
  readonly share: number;
}

/**
 * The best constant answer, chosen with hindsight: harder to beat than guessing.
 *
 * @throws RangeError without labels
 */
export function bestConstant(kind: DegradationKind, labels: readonly string[]): ConstantAnswer {
  if (labels.length === 0) throw new RangeError(`bestConstant: ${kind.name}: there are no labels`);
  const hits = kind.prompts.map((prompt) => labels.filter((label) => isRight(kind, label, prompt)).length);
  const most = Math.max(...hits);
  return { prompt: kind.prompts[hits.indexOf(most)]!, share: most / labels.length };
}
