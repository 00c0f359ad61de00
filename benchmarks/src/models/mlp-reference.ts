import { matmul, transpose } from "../reference.ts";
import { crossEntropy, type Gradient, type Parameters } from "./adam-reference.ts";

/**
 * Gradients, by x too, of the mean cross-entropy of a perceptron in f64, with ReLU between its layers `weight0 (in, out)`, `bias0 (out)`, `weight1` ...
 *
 * @param x (batch, in)
 * @param labels one class for each row
 */
export function mlpGradient(
  x: ArrayLike<number>,
  labels: readonly number[],
  parameters: Parameters,
): Gradient & { readonly dx: Float64Array } {
  const batch = labels.length;
  const layers = Array.from({ length: Object.keys(parameters).length / 2 }, (_, index) => {
    const [weight, bias] = [parameters[`weight${index}`]!, parameters[`bias${index}`]!];
    return { weight, bias, inner: weight.length / bias.length, cols: bias.length };
  });
  const inputs: Float64Array[] = [Float64Array.from(x)];
  for (const [index, { weight, bias, inner, cols }] of layers.entries()) {
    const y = matmul(inputs[index]!, weight, { batch: 1, rows: batch, inner, cols });
    const last = index === layers.length - 1;
    inputs.push(
      y.map((value, i) => {
        const shifted = value + bias[i % cols]!;
        return last ? shifted : Math.max(0, shifted);
      }),
    );
  }
  const { loss, dLogits } = crossEntropy(inputs.at(-1)!, labels);
  const gradients: Record<string, Float64Array> = {};
  let dy = dLogits;
  for (const [index, { weight, inner, cols }] of [...layers.entries()].reverse()) {
    const input = inputs[index]!;
    gradients[`weight${index}`] = matmul(transpose(input, 1, batch, inner), dy, {
      batch: 1,
      rows: inner,
      inner: batch,
      cols,
    });
    const dBias = new Float64Array(cols);
    for (const [i, value] of dy.entries()) dBias[i % cols]! += value;
    gradients[`bias${index}`] = dBias;
    const dx = matmul(dy, transpose(weight, 1, inner, cols), { batch: 1, rows: batch, inner: cols, cols: inner });
    dy = index === 0 ? dx : dx.map((value, i) => (input[i]! > 0 ? value : 0));
  }
  return { loss, gradients, dx: dy };
}
