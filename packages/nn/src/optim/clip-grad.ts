import {
  add,
  cast,
  checkNumber,
  checkTensor,
  div,
  l2Norm,
  minimum,
  mul,
  noGrad,
  reshape,
  scope,
  stack,
  type Tensor,
  wrongArgument,
} from "@deplsr/tensor";

/** Gradients after clipping, and the norm (scalar, f32) that they had before. */
export interface ClippedGradients {
  readonly grads: Map<Tensor, Tensor>;
  readonly norm: Tensor;
}

/**
 * Scales all gradients by `min(1, maxNorm / (norm + 1e-6))`, where `norm` is the Euclidean norm of all their values together.
 * Nothing is read back, so a step need not wait; a norm that is not finite shows in `norm` and in every gradient.
 */
export function clipGradNorm(grads: ReadonlyMap<Tensor, Tensor>, maxNorm: number): ClippedGradients {
  if (!(grads instanceof Map)) {
    throw wrongArgument("clipGradNorm", "grads", "the map that backward gives", grads);
  }
  for (const grad of grads.values()) checkTensor("clipGradNorm", "grads", grad);
  checkNumber("clipGradNorm", "maxNorm", maxNorm);
  if (!(maxNorm > 0)) throw new RangeError(`clipGradNorm: maxNorm ${maxNorm} must be above 0`);
  const [first] = grads.values();
  if (!first) throw new Error("clipGradNorm: there are no gradients");
  return noGrad(() =>
    scope(() => {
      const norms = Array.from(grads.values(), (grad) => reshape(l2Norm(cast(grad, "f32")), []));
      const norm = l2Norm(stack(norms, 0));
      const factor = minimum(div(maxNorm, add(norm, 1e-6)), 1);
      return { grads: new Map(Array.from(grads, ([param, grad]) => [param, mul(grad, factor)])), norm };
    }),
  );
}
