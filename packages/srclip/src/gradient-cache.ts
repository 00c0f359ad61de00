import type { CLIP } from "@deplsr/clip";
import { backwardOnto } from "@deplsr/nn";
import {
  add,
  type BackwardOptions,
  backward,
  cat,
  mul,
  narrow,
  noGrad,
  requireGrad,
  scope,
  sum,
  type Tensor,
  transient,
} from "@deplsr/tensor";
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
    const whole = featuresOf(model, parts);
    const { loss, wanted, gradients } = compared(model, whole, options);
    return { loss, gradients: throughParts(model, parts, wanted, gradients, { checkpoint }) };
  });
}

/** How the processes that have a part of a batch each know the features of all. */
export interface FeatureExchange {
  /** The rows of all processes in one tensor, in the same order for each. It is the caller's to dispose of. @param own (b, ...) */
  readonly gather: (own: Tensor) => Promise<Tensor>;
  /** Rows of the processes before this one. */
  readonly from: number;
  /** Told of this process's gradients as soon as each is whole, as `backward` tells: to bring them to the others meanwhile. */
  readonly onGradient?: NonNullable<BackwardOptions["onGradient"]>;
}

/**
 * The same for a batch of which every process has some parts: every image is compared with the texts of all processes. The sums of all processes'
 * gradients are those of the whole batch: gradients reach features only where these were computed, and what the loss depends on besides
 * (the scale of logits) has its gradient in the first process. So every process computes the whole loss, and no gradient of a feature is sent: what open_clip
 * does with `gather_with_grad`, with or without `local_loss`. A single part runs once, several run twice, as above.
 *
 * @param options `matches` are those of the batch of all processes
 * @returns the loss of the whole batch, and the gradients of this process
 */
export async function sharedGradients(
  model: SrCLIPModel,
  parts: readonly SrCLIPInput[],
  { checkpoint = false, ...options }: SrCLIPLossOptions & SrCLIPOptions,
  { gather, from, onGradient }: FeatureExchange,
): Promise<BatchGradients> {
  const single = parts.length === 1;
  const own = single
    ? (transient(() => listed(model.forward(parts[0]!, { checkpoint }))) as Features)
    : (scope(() => featuresOf(model, parts)) as Features);
  const all: (Tensor | null)[] = [];
  try {
    for (const features of own) all.push(features && (await gather(features)));
    return scope(() => {
      const { loss, wanted, gradients } = compared(model, all, options);
      const known = from === 0 ? gradients : new Map<Tensor, Tensor>();
      const rows = own.map((features, kind) => {
        const gradient = wanted[kind];
        return features && gradient && narrow(gradient, 0, from, features.shape[0]!);
      });
      const told = onGradient ? { onGradient } : {};
      const through = single
        ? added(known, own, rows, told)
        : throughParts(model, parts, rows, known, { checkpoint, told });
      return { loss, gradients: through };
    }) as BatchGradients;
  } finally {
    for (const features of [...own, ...all]) features?.dispose();
  }
}

/** The features of all parts, without a graph, of which one part's activations are in memory at a time. */
function featuresOf(model: SrCLIPModel, parts: readonly SrCLIPInput[]): Features {
  return joined(parts.map((part) => noGrad(() => scope(() => listed(model.forward(part)))) as Features));
}

/** The gradients of features, by kind; none for those that do not need one. */
type FeatureGradients = readonly (Tensor | null | undefined)[];

/** The loss of features, their gradients, and those of what it depends on besides. */
function compared(
  model: SrCLIPModel,
  features: Features,
  options: SrCLIPLossOptions,
): { loss: SrCLIPLoss; wanted: FeatureGradients; gradients: Map<Tensor, Tensor> } {
  const whole = features.map((each) => each && requireGrad(each));
  const loss = srclipLoss({ ...model.forward({}), ...named(whole) }, options);
  const seen = detachedLoss(loss);
  const gradients = backward(loss.total);
  const wanted = whole.map((each) => each && gradients.get(each));
  for (const each of whole) if (each) gradients.delete(each);
  return { loss: seen, wanted, gradients };
}

/** Runs every part again, to bring the gradients of its features to the parameters. @param wanted of the rows of all parts */
function throughParts(
  model: SrCLIPModel,
  parts: readonly SrCLIPInput[],
  wanted: FeatureGradients,
  known: Map<Tensor, Tensor>,
  { checkpoint, told = {} }: { readonly checkpoint: boolean; readonly told?: Told },
): Map<Tensor, Tensor> {
  // Frozen texts have given all they have.
  const textTrains = [...model.clip.text.parameters().values()].some(({ requiresGrad }) => requiresGrad);
  let gradients = known;
  let row = 0;
  for (const part of parts) {
    const { image, ids } = part;
    const rows = image?.shape[0] ?? 0;
    const [from, before] = [row, gradients];
    gradients = scope(() => {
      const again = listed(
        model.forward({ ...(image && { image }), ...(textTrains && ids && { ids }) }, { checkpoint }),
      );
      const own = wanted.map((gradient) => gradient && narrow(gradient, 0, from, rows));
      return added(before, again, own, part === parts.at(-1) ? told : {});
    });
    row += rows;
  }
  return gradients;
}

/** Who is told of gradients. */
type Told = Pick<BackwardOptions, "onGradient">;

/** Adds the gradients that features bring to the parameters, by those of the features. */
function added(
  known: Map<Tensor, Tensor>,
  features: Features,
  wanted: FeatureGradients,
  told: Told,
): Map<Tensor, Tensor> {
  const products = features.flatMap((each, kind) => {
    const gradient = wanted[kind];
    return each?.requiresGrad && gradient ? [sum(mul(each, gradient))] : [];
  });
  if (products.length > 0)
    return backwardOnto(
      known,
      products.reduce((a, b) => add(a, b)),
      told,
    );
  for (const [tensor, gradient] of known) told.onGradient?.(tensor, gradient);
  return known;
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

/** The same features of all parts, one after another. */
function joined(parts: readonly Features[]): Features {
  return (parts[0] ?? []).map((first, kind) => {
    const all = parts.flatMap((features) => features[kind] ?? []);
    return first && cat(all, 0);
  });
}
