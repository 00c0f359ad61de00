/** How the prompts of the evaluation are worded, and what always giving one answer would reach. */
import { DEGRADATION_KINDS, type DegradationKind, isRight, photoWith } from "@deplsr/srclip";
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

/** The share of right answers that always giving the same one gets, the best one taken with hindsight: harder to beat than guessing. */
export function bestConstant(kind: DegradationKind, labels: readonly string[]): number {
  const hits = kind.prompts.map((prompt) => labels.filter((label) => isRight(kind, label, prompt)).length);
  return Math.max(...hits) / labels.length;
}
