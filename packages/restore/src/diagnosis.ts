/** What is wrong with a photograph, as an SRCLIP sees it. */
import { type DegradationKind, fineProbabilities, type SrCLIPV2 } from "@deplsr/srclip";
import { exp, noGrad, scope, type Tensor } from "@deplsr/tensor";
import type { RasterImage } from "./image.ts";
import { imageFeatures, type PromptOptions } from "./prompt.ts";

/** What is thought of one kind of degradation. */
export interface KindDiagnosis {
  /** `blur`, `gaussian`, `poisson`, `jpeg` or `ringing`. */
  readonly name: string;
  /** The likeliest level, such as `sigma:1.5`, `quality factor:50`; of ringing the prompt itself. */
  readonly level: string;
  readonly probability: number;
  /** The probability of each level. */
  readonly levels: ReadonlyMap<string, number>;
}

/** What photographs are compared with. */
export interface DiagnosisOptions {
  /** How SRCLIP sees images. */
  readonly prompt: PromptOptions;
  readonly kinds: readonly DegradationKind[];
  /** Of each kind's prompts, (prompts, embedDim) of length 1: from `encodePrompts`, or stored. */
  readonly features: readonly Tensor[];
}

/**
 * For each kind of degradation the probability of each level: the softmax of cosines times SRCLIP's own scale, of the mean of what it sees in
 * the squares of the photograph, see `imageFeatures`.
 */
export async function diagnose(
  srclip: SrCLIPV2,
  image: RasterImage,
  { prompt, kinds, features }: DiagnosisOptions,
): Promise<KindDiagnosis[]> {
  const shares = noGrad(() =>
    scope(() => fineProbabilities(imageFeatures(srclip, image, prompt).fine, features, exp(srclip.logitScale))),
  );
  try {
    const values = await Promise.all(shares.map((tensor) => tensor.data()));
    return kinds.map(({ name, prompts }, kind) => {
      const levels = new Map(prompts.map((text, i) => [levelOf(text), values[kind]![i]!]));
      const [level, probability] = [...levels].reduce((best, next) => (next[1] > best[1] ? next : best));
      return { name, level, probability, levels };
    });
  } finally {
    for (const tensor of shares) tensor.dispose();
  }
}

/** The level in a prompt: what stands behind `with`, or all of it. */
function levelOf(prompt: string): string {
  return prompt.replace(/^.* with /, "");
}
