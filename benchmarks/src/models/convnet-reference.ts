import {
  type Convolution,
  convolution,
  convolutionInputGradient,
  convolutionWeightGradient,
  outputSize,
  transpose,
} from "../reference.ts";
import type { Gradient, Parameters } from "./adam-reference.ts";
import { mlpGradient } from "./mlp-reference.ts";

/**
 * Gradients of the mean cross-entropy in f64 of a convolutional network: convolutions `kernel0 (out, in, k, k)`, `shift0 (out)`, `kernel1` ... with a
 * ReLU behind each, the mean over the image, and a layer `weight0 (classes, in)`, `bias0`.
 *
 * @param x (batch, channels, size, size)
 * @param labels one class for each image
 */
export function convnetGradient(
  x: ArrayLike<number>,
  labels: readonly number[],
  layers: readonly Convolution[],
  parameters: Parameters,
): Gradient {
  const inputs: Float64Array[] = [Float64Array.from(x)];
  for (const [index, sizes] of layers.entries()) {
    const y = convolution(inputs[index]!, parameters[`kernel${index}`]!, sizes);
    const [shift, area] = [parameters[`shift${index}`]!, outputSize(sizes) ** 2];
    inputs.push(y.map((value, i) => Math.max(0, value + shift[Math.floor(i / area) % shift.length]!)));
  }
  const features = inputs.at(-1)!;
  const area = outputSize(layers.at(-1)!) ** 2;
  const means = new Float64Array(features.length / area);
  for (const [i, value] of features.entries()) means[Math.floor(i / area)]! += value / area;
  const bias0 = parameters.bias0!;
  const [classes, channels] = [bias0.length, parameters.weight0!.length / bias0.length];
  const head = { weight0: transpose(parameters.weight0!, 1, classes, channels), bias0 };
  const { loss, dx, gradients } = mlpGradient(means, labels, head);
  const found: Record<string, Float64Array> = {
    weight0: transpose(gradients.weight0!, 1, channels, classes),
    bias0: gradients.bias0!,
  };
  let dy: Float64Array = features.map((_, i) => dx[Math.floor(i / area)]! / area);
  for (const [index, sizes] of [...layers.entries()].reverse()) {
    dy = dy.map((value, i) => (inputs[index + 1]![i]! > 0 ? value : 0));
    const shift = new Float64Array(sizes.outChannels);
    const outArea = outputSize(sizes) ** 2;
    for (const [i, value] of dy.entries()) shift[Math.floor(i / outArea) % shift.length]! += value;
    found[`shift${index}`] = shift;
    found[`kernel${index}`] = convolutionWeightGradient(dy, inputs[index]!, sizes);
    if (index > 0) dy = convolutionInputGradient(dy, parameters[`kernel${index}`]!, sizes);
  }
  return { loss, gradients: found };
}
