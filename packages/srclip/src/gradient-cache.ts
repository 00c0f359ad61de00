import type { CLIP } from "@deplsr/clip";
import { addGradients } from "@deplsr/nn";
import { add, backward, cat, mul, narrow, noGrad, requireGrad, scope, sum, type Tensor } from "@deplsr/tensor";
import type { SrCLIPInput, SrCLIPOptions, SrCLIPOutput } from "./features.ts";
import { detachedLoss, type SrCLIPLoss, type SrCLIPLossOptions, srclipLoss } from "./srclip-loss.ts";

/** What can be trained in parts: SrCLIP, SrCLIPV2 and FinetuneCLIP. */
export interface SrCLIPModel {
  readonly clip: CLIP;
  forward(input: SrCLIPInput, options?: SrCLIPOptions): SrCLIPOutput;
}

/** The losses of a batch and the gradients of their total. */
export interface BatchGradients {
  readonly loss: SrCLIPLoss;
  readonly gradients: Map<Tensor, Tensor>;
}

/**
 * Losses and gradients of a batch that is given in parts, to rounding those of all parts at once: every image is compared with
 * the texts of all parts. Only one part's activations are in memory at a time. First the features of all parts are computed
 * without a graph; the loss of them all gives the gradient of each feature; then every part runs a second time, to bring the
 * gradients of its features to the parameters.
 *
 * @param options as for `srclipLoss`; `matches` are those of the whole batch; `checkpoint` as for `forward`
 * @throws Error when there is no part, or one lacks images or texts
 * @see https://arxiv.org/abs/2101.06983 (gradient caching). open_clip's `accum_freq` does the same, but sums the gradient of
 * the logit scale once for each part.
 */
export function accumulateGradients(
  model: SrCLIPModel,
  parts: readonly SrCLIPInput[],
  { checkpoint = false, ...options }: SrCLIPLossOptions & SrCLIPOptions,
): BatchGradients {
  return scope(() => {
    const cached = parts.map((part) => noGrad(() => scope(() => listed(model.forward(part)))));
    const whole = joined(cached);
    const loss = srclipLoss({ ...model.forward({}), ...named(whole) }, options);
    const seen = detachedLoss(loss);
    let gradients = backward(loss.total);
    const wanted = whole.map((features) => features && gradients.get(features));
    for (const features of whole) if (features) gradients.delete(features);
    // Frozen texts have given all they have.
    const textTrains = [...model.clip.text.parameters().values()].some(({ requiresGrad }) => requiresGrad);
    let row = 0;
    for (const { image, ids } of parts) {
      const rows = image?.shape[0] ?? 0;
      gradients = scope(() => {
        const again = listed(
          model.forward({ ...(image && { image }), ...(textTrains && ids && { ids }) }, { checkpoint }),
        );
        const products = again.flatMap((features, kind) => {
          const gradient = wanted[kind];
          return features?.requiresGrad && gradient ? [sum(mul(features, narrow(gradient, 0, row, rows)))] : [];
        });
        return products.length === 0
          ? gradients
          : addGradients(gradients, backward(products.reduce((a, b) => add(a, b))));
      });
      row += rows;
    }
    return { loss: seen, gradients };
  });
}

/** All features of a batch, or null for those that a model does not have. */
type Features = readonly (Tensor | null)[];

function listed({ image, text }: Pick<SrCLIPOutput, "image" | "text">): Features {
  const images = [image?.content, image?.degradation, image?.fine];
  const texts = [text?.caption, text?.degradation, text?.fine];
  return [...images, ...texts].map((features) => features ?? null);
}

/** The reverse of {@link listed}. */
function named(features: Features): Pick<SrCLIPOutput, "image" | "text"> {
  const [content, seen = null, seenFine = null, caption, read, readFine = null] = features;
  return {
    image: content ? { content, degradation: seen, fine: seenFine } : null,
    text: caption && read ? { caption, degradation: read, fine: readFine } : null,
  };
}

/** The same features of all parts, one after another, as leaves. */
function joined(parts: readonly Features[]): Features {
  return (parts[0] ?? []).map((first, kind) => {
    const all = parts.flatMap((features) => features[kind] ?? []);
    return first && requireGrad(cat(all, 0));
  });
}
