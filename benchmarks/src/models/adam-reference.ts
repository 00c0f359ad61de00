import { softmax } from "../reference.ts";

/** Adam's settings. */
export interface Adam {
  readonly lr: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
}

/** Parameters by their names. */
export type Parameters = Readonly<Record<string, Float64Array>>;

/** A loss and its gradient by every parameter. */
export interface Gradient {
  readonly loss: number;
  readonly gradients: Parameters;
}

/** The losses of the first `steps` steps of Adam in f64; changes the parameters. */
export function trainReference(
  parameters: Parameters,
  gradient: (parameters: Parameters) => Gradient,
  steps: number,
  { lr, beta1, beta2, eps }: Adam,
): Float64Array {
  const zeros = (): Parameters =>
    Object.fromEntries(Object.entries(parameters).map(([name, { length }]) => [name, new Float64Array(length)]));
  const [first, second] = [zeros(), zeros()];
  return Float64Array.from({ length: steps }, (_, index) => {
    const { loss, gradients } = gradient(parameters);
    const [correct1, correct2] = [1 - beta1 ** (index + 1), 1 - beta2 ** (index + 1)];
    for (const [name, values] of Object.entries(parameters)) {
      const [m, v, grad] = [first[name]!, second[name]!, gradients[name]!];
      for (let i = 0; i < values.length; i++) {
        m[i] = beta1 * m[i]! + (1 - beta1) * grad[i]!;
        v[i] = beta2 * v[i]! + (1 - beta2) * grad[i]! ** 2;
        values[i]! -= (lr * (m[i]! / correct1)) / (Math.sqrt(v[i]! / correct2) + eps);
      }
    }
    return loss;
  });
}

/** The mean cross-entropy of logits `(labels, classes)`, and its gradient by them. */
export function crossEntropy(
  logits: ArrayLike<number>,
  labels: readonly number[],
): { readonly loss: number; readonly dLogits: Float64Array } {
  const classes = logits.length / labels.length;
  const dLogits = softmax(logits, classes);
  let loss = 0;
  for (const [row, label] of labels.entries()) {
    loss -= Math.log(dLogits[row * classes + label]!) / labels.length;
    dLogits[row * classes + label]! -= 1;
  }
  return { loss, dLogits: dLogits.map((value) => value / labels.length) };
}
