import { matmul, softmax, transpose } from "../reference.ts";

/** A layer `x·weight + bias`: weight (in, out), bias (out), both changed by training. */
export interface ReferenceLayer {
  readonly weight: Float64Array;
  readonly bias: Float64Array;
}

/** Adam's settings. */
export interface ReferenceAdam {
  readonly lr: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
}

/**
 * The losses of the first `steps` steps in f64: ReLU between the layers, mean cross-entropy, Adam.
 *
 * @param x (batch, in)
 * @param labels one class for each row
 */
export function trainReference(
  x: ArrayLike<number>,
  labels: readonly number[],
  layers: readonly ReferenceLayer[],
  steps: number,
  adam: ReferenceAdam,
): Float64Array {
  const batch = labels.length;
  const params = layers.flatMap(({ weight, bias }) => [weight, bias]);
  const moments = params.map((param) => ({ m: new Float64Array(param.length), v: new Float64Array(param.length) }));
  return Float64Array.from({ length: steps }, (_, index) => {
    const { loss, grads } = lossAndGradients(x, labels, batch, layers);
    const correct1 = 1 - adam.beta1 ** (index + 1);
    const correct2 = 1 - adam.beta2 ** (index + 1);
    for (const [which, param] of params.entries()) {
      const { m, v } = moments[which]!;
      const grad = grads[which]!;
      for (let i = 0; i < param.length; i++) {
        m[i] = adam.beta1 * m[i]! + (1 - adam.beta1) * grad[i]!;
        v[i] = adam.beta2 * v[i]! + (1 - adam.beta2) * grad[i]! ** 2;
        param[i]! -= (adam.lr * (m[i]! / correct1)) / (Math.sqrt(v[i]! / correct2) + adam.eps);
      }
    }
    return loss;
  });
}

/** The gradients come in the order weight, bias, weight, bias ... */
function lossAndGradients(
  x: ArrayLike<number>,
  labels: readonly number[],
  batch: number,
  layers: readonly ReferenceLayer[],
): { loss: number; grads: Float64Array[] } {
  const inputs: Float64Array[] = [Float64Array.from(x)];
  for (const [index, { weight, bias }] of layers.entries()) {
    const inner = weight.length / bias.length;
    const y = matmul(inputs[index]!, weight, { batch: 1, rows: batch, inner, cols: bias.length });
    const last = index === layers.length - 1;
    inputs.push(
      y.map((value, i) => {
        const shifted = value + bias[i % bias.length]!;
        return last ? shifted : Math.max(0, shifted);
      }),
    );
  }
  const classes = layers.at(-1)!.bias.length;
  const dy = softmax(inputs.at(-1)!, classes);
  let loss = 0;
  for (const [row, label] of labels.entries()) {
    loss -= Math.log(dy[row * classes + label]!) / batch;
    dy[row * classes + label]! -= 1;
  }
  let gradient: Float64Array = dy.map((value) => value / batch);
  const grads: Float64Array[] = [];
  for (let index = layers.length - 1; index >= 0; index--) {
    const { weight, bias } = layers[index]!;
    const input = inputs[index]!;
    const [inner, cols] = [weight.length / bias.length, bias.length];
    const dWeight = matmul(transpose(input, 1, batch, inner), gradient, { batch: 1, rows: inner, inner: batch, cols });
    const dBias = new Float64Array(cols);
    for (let i = 0; i < gradient.length; i++) dBias[i % cols]! += gradient[i]!;
    grads.unshift(dWeight, dBias);
    if (index === 0) break;
    const dx = matmul(gradient, transpose(weight, 1, inner, cols), { batch: 1, rows: batch, inner: cols, cols: inner });
    gradient = dx.map((value, i) => (input[i]! > 0 ? value : 0));
  }
  return { loss, grads };
}
