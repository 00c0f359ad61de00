import { cat, exp, mean, noGrad, reshape, scope, sigmoid, softmax, type Tensor } from "@deplsr/tensor";
import { encodeDistinct } from "./distinct.ts";
import { type CLIP, logits, normalizeFeatures } from "./model.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** A sentence about a class: a text with `{}` where the name of the class stands, or a function of the name. */
export type Template = string | ((className: string) => string);

/** About so many texts are encoded at once. */
const TEXTS_AT_ONCE = 128;

/**
 * One feature for each class: `(classes, embedDim)` of length 1, the mean of the normalised features of what the templates say
 * of it, normalised again; as open_clip's `build_zero_shot_classifier`, transposed.
 *
 * @throws RangeError when there is no class or no template, or a template has no `{}`
 * @see https://arxiv.org/abs/2103.00020 section 3.1
 */
export function zeroShotClassifier(
  model: CLIP,
  tokenizer: Tokenizer,
  classNames: readonly string[],
  templates: readonly Template[] = ["a photo of a {}."],
): Tensor {
  if (classNames.length === 0 || templates.length === 0) {
    throw new RangeError(
      `zeroShotClassifier: ${classNames.length} classes and ${templates.length} templates; both need at least one`,
    );
  }
  const { embedDim, text } = model.config;
  const classesAtOnce = Math.max(1, Math.floor(TEXTS_AT_ONCE / templates.length));
  const encode = (names: readonly string[]): Tensor => {
    const texts = names.flatMap((name) => templates.map((template) => fill(template, name)));
    const features = encodeDistinct(model, tokenizer.tokenize(texts, text.contextLength), { normalize: true });
    const grouped = reshape(features, [names.length, templates.length, embedDim]);
    return normalizeFeatures(mean(grouped, { dim: 1 }));
  };
  return noGrad(() =>
    scope(() => {
      const parts: Tensor[] = [];
      for (let from = 0; from < classNames.length; from += classesAtOnce) {
        parts.push(scope(() => encode(classNames.slice(from, from + classesAtOnce))));
      }
      return cat(parts, 0);
    }),
  );
}

function fill(template: Template, className: string): string {
  if (typeof template === "function") return template(className);
  if (!template.includes("{}")) {
    throw new RangeError(`zeroShotClassifier: the template "${template}" has no {} for the name of the class`);
  }
  return template.replaceAll("{}", () => className);
}

/**
 * Probabilities of the classes of a classifier for preprocessed images `(b, 3, s, s)` → `(b, classes)`: they sum to 1, or stand
 * each for itself in a model with a logit bias.
 */
export function classify(model: CLIP, images: Tensor, classifier: Tensor): Tensor {
  return noGrad(() =>
    scope(() => {
      const features = model.encodeImage(images, { normalize: true });
      const z = logits(features, classifier, exp(model.logitScale), model.logitBias);
      return model.logitBias ? sigmoid(z) : softmax(z, -1);
    }),
  );
}
