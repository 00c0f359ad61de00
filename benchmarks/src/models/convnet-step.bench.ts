import { conv2d, linear, mean, relu } from "@deplsr/tensor";
import { permute, size, uniform } from "../arrays.ts";
import { type Convolution, outputSize } from "../reference.ts";
import type { Row } from "../row.ts";
import {
  drawLabels,
  type Problem,
  TOLERANCE,
  trainByDefinition,
  trainJax,
  trainOurs,
  trainTf,
  trainTorch,
} from "./classifier.ts";
import { convnetGradient } from "./convnet-reference.ts";

const BATCH = 32;
const IMAGE = [BATCH, 1, 28, 28];
const CLASSES = 10;
const layers: readonly Convolution[] = [
  { batch: BATCH, channels: 1, outChannels: 16, size: 28, kernel: 3, stride: 1 },
  { batch: BATCH, channels: 16, outChannels: 32, size: 28, kernel: 3, stride: 2 },
  { batch: BATCH, channels: 32, outChannels: 64, size: 14, kernel: 3, stride: 2 },
];
const FEATURES = layers.at(-1)!.outChannels;

/** Parameters uniform in ±1/√in, as PyTorch's, and matrices as it lays them out, or as TensorFlow.js, with channels last. */
function problem(layout: "first" | "last" = "first"): Problem {
  const named = [
    ...layers.map(({ outChannels, channels, kernel }) => [outChannels, channels, kernel, kernel]),
    [CLASSES, FEATURES],
  ].flatMap((shape, index) => {
    const scale = 1 / Math.sqrt(size(shape.slice(1)));
    const data = uniform(size(shape), 1 + index).map((value) => value * scale);
    const last = shape.length === 4 ? [2, 3, 1, 0] : [1, 0];
    const matrix =
      layout === "first"
        ? { shape, data }
        : { shape: last.map((dim) => shape[dim]!), data: permute(data, shape, last) };
    const vector = { shape: [shape[0]!], data: uniform(shape[0]!, 11 + index).map((value) => value * scale) };
    const names = shape.length === 4 ? [`kernel${index}`, `shift${index}`] : ["weight0", "bias0"];
    return [[names[0]!, matrix] as const, [names[1]!, vector] as const];
  });
  // A single channel is first and last.
  const shape = layout === "first" ? IMAGE : [BATCH, 28, 28, 1];
  return {
    x: { shape, data: uniform(size(IMAGE), 0) },
    labels: drawLabels(BATCH),
    parameters: Object.fromEntries(named),
  };
}

const flops = layers.map((sizes) => 2 * BATCH * sizes.channels * sizes.outChannels * 9 * outputSize(sizes) ** 2);

const step: Row = {
  name: "convnet step",
  shape: `[${IMAGE.join(", ")}], 3x3 to 16, 32 and 64 channels by strides 1, 2, 2, mean, ${CLASSES} classes, Adam`,
  // Forward, and twice that backward but for the gradient of the input.
  flops: 3 * flops.reduce((sum, count) => sum + count) - flops[0]!,
  reference: () => trainByDefinition(problem(), (x, labels, p) => convnetGradient(x, labels, layers, p)),
  tolerance: TOLERANCE,
  target: { ratio: 4 },
  tasks: {
    ours: [
      (ours) =>
        trainOurs(ours, problem(), (x, p) => {
          const features = layers.reduce(
            (h, { stride = 1 }, index) =>
              relu(conv2d(h, p[`kernel${index}`]!, { bias: p[`shift${index}`]!, stride, padding: 1 })),
            x,
          );
          return linear(mean(features, { dim: [2, 3] }), p.weight0!, p.bias0!);
        }),
    ],
    jax: [
      (jax) =>
        trainJax(jax, problem(), (x, p) => {
          const features = layers.reduce((h, { stride = 1, outChannels }, index) => {
            const y = jax.lax.convWithGeneralPadding(
              h,
              p[`kernel${index}`]!,
              [stride, stride],
              [
                [1, 1],
                [1, 1],
              ],
            );
            return jax.nn.relu(y.add(p[`shift${index}`]!.reshape([outChannels, 1, 1])));
          }, x);
          return jax.numpy.matmul(jax.numpy.mean(features, [2, 3]), p.weight0!.transpose([1, 0])).add(p.bias0!);
        }),
    ],
    tfjs: [
      (tf) =>
        trainTf(tf, problem("last"), (x, p) => {
          const features = layers.reduce(
            (h, { stride = 1 }, index) =>
              tf.relu(tf.add(tf.conv2d(h, p[`kernel${index}`]!, stride, 1), p[`shift${index}`]!)),
            x,
          );
          return tf.add(tf.matMul(tf.mean(features, [1, 2]), p.weight0!), p.bias0!);
        }),
    ],
    ort: "does not train",
    torch: [
      (torch) =>
        trainTorch(
          torch,
          problem(),
          `
def network(x, p):
    for index, stride in enumerate(${JSON.stringify(layers.map(({ stride }) => stride))}):
        x = F.relu(F.conv2d(x, p[f"kernel{index}"], p[f"shift{index}"], stride=stride, padding=1))
    return F.linear(x.mean((2, 3)), p["weight0"], p["bias0"])
`,
        ),
    ],
  },
};

/** A training step of a small convolutional network. */
export default [step];
