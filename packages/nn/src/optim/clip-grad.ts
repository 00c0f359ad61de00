import {
  add,
  cast,
  cat,
  checkNumber,
  checkTensor,
  computeTogether,
  div,
  l2Norm,
  minimum,
  mul,
  noGrad,
  reshape,
  scope,
  sideBySide,
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
  checkGradients("clipGradNorm", grads);
  checkNumber("clipGradNorm", "maxNorm", maxNorm);
  if (!(maxNorm > 0)) throw new RangeError(`clipGradNorm: maxNorm ${maxNorm} must be above 0`);
  return noGrad(() =>
    scope(() => {
      const norm = gradNorm(grads);
      const factor = minimum(div(maxNorm, add(norm, 1e-6)), 1);
      const clipped = new Map(Array.from(grads, ([param, grad]) => [param, mul(grad, factor)]));
      computeTogether([...clipped.values()]);
      return { grads: clipped, norm };
    }),
  );
}

/** The Euclidean norm of the values of all gradients together, a scalar; those that lie side by side are read at once. */
export function gradNorm(grads: ReadonlyMap<Tensor, Tensor>): Tensor {
  checkGradients("gradNorm", grads);
  return noGrad(() =>
    scope(() => {
      const norms = bucketsOf(sideBySide([...grads.values()])).map(normOf);
      return norms.length === 1 ? norms[0]! : l2Norm(stack(norms, 0));
    }),
  );
}

function checkGradients(op: string, grads: ReadonlyMap<Tensor, Tensor>): void {
  if (!(grads instanceof Map)) throw wrongArgument(op, "grads", "the map that backward gives", grads);
  for (const grad of grads.values()) checkTensor(op, "grads", grad);
  if (grads.size === 0) throw new Error(`${op}: there are no gradients`);
}

/** Elements that are joined to one tensor, so that their norm takes few launches; what is larger stands alone. */
const BUCKET = 2 ** 20;

/** The tensors in runs of at most so many elements together. */
function bucketsOf(tensors: readonly Tensor[]): Tensor[][] {
  const buckets: Tensor[][] = [];
  let room = 0;
  for (const tensor of tensors) {
    if (buckets.length === 0 || tensor.size > room) {
      buckets.push([]);
      room = BUCKET;
    }
    buckets.at(-1)!.push(tensor);
    room -= tensor.size;
  }
  return buckets;
}

/** The norm of all their values together, a scalar. */
function normOf(tensors: readonly Tensor[]): Tensor {
  return scope(() => {
    const flat = tensors.map((tensor) => reshape(cast(tensor, "f32"), [tensor.size]));
    return reshape(l2Norm(cat(flat, 0)), []);
  });
}
