import { linear, relu } from "@deplsr/tensor";
import { permute, uniform } from "../arrays.ts";
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
import { mlpGradient } from "./mlp-reference.ts";

const WIDTHS = [784, 512, 512, 10];
const BATCH = 128;
const layers = WIDTHS.slice(1).map((outputs, index) => ({ inputs: WIDTHS[index]!, outputs }));

/** Parameters uniform in ±1/√in, as PyTorch's; weights (in, out), or (out, in) as ours and PyTorch want them. */
function problem(layout: "in out" | "out in"): Problem {
  const named = layers.flatMap(({ inputs, outputs }, index) => {
    const draw = (count: number, seed: number): Float32Array =>
      uniform(count, seed).map((value) => value / Math.sqrt(inputs));
    const weight = draw(inputs * outputs, 1 + index);
    const matrix =
      layout === "in out"
        ? { shape: [inputs, outputs], data: weight }
        : { shape: [outputs, inputs], data: permute(weight, [inputs, outputs], [1, 0]) };
    const bias = { shape: [outputs], data: draw(outputs, 11 + index) };
    return [[`weight${index}`, matrix] as const, [`bias${index}`, bias] as const];
  });
  return {
    x: { shape: [BATCH, WIDTHS[0]!], data: uniform(BATCH * WIDTHS[0]!, 0) },
    labels: drawLabels(BATCH),
    parameters: Object.fromEntries(named),
  };
}

/** Layer after layer, with a ReLU between them. */
function perceptron<T>(x: T, relu: (x: T) => T, linear: (x: T, index: number) => T): T {
  return layers.reduce((h, _, index) => linear(index === 0 ? h : relu(h), index), x);
}

const step: Row = {
  name: "MLP step",
  shape: `${WIDTHS.join("-")}, batch ${BATCH}, Adam`,
  // Forward, and twice that backward but for the gradient of the input.
  flops: 2 * BATCH * (3 * (784 * 512 + 512 * 512 + 512 * 10) - 784 * 512),
  reference: () => trainByDefinition(problem("in out"), mlpGradient),
  tolerance: TOLERANCE,
  target: { ratio: 4, torch: 0.5 },
  tasks: {
    ours: [
      (ours) =>
        trainOurs(ours, problem("out in"), (x, p) =>
          perceptron(x, relu, (h, index) => linear(h, p[`weight${index}`]!, p[`bias${index}`]!)),
        ),
    ],
    jax: [
      (jax) =>
        trainJax(jax, problem("in out"), (x, p) =>
          perceptron(x, jax.nn.relu, (h, index) => jax.numpy.matmul(h, p[`weight${index}`]!).add(p[`bias${index}`]!)),
        ),
    ],
    tfjs: [
      (tf) =>
        trainTf(tf, problem("in out"), (x, p) =>
          perceptron(x, tf.relu, (h, index) => tf.add(tf.matMul(h, p[`weight${index}`]!), p[`bias${index}`]!)),
        ),
    ],
    ort: "does not train",
    torch: [
      (torch) =>
        trainTorch(
          torch,
          problem("out in"),
          `
def network(x, p):
    for index in range(${layers.length}):
        x = F.linear(F.relu(x) if index else x, p[f"weight{index}"], p[f"bias{index}"])
    return x
`,
        ),
    ],
  },
  alsoCold: true,
};

/** A training step of a small classifier: many small products and small kernels. */
export default [step];
