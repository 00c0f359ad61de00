import { sum } from "@deplsr/tensor";
import { operation } from "../row.ts";

const COUNT = 4 * 1024 * 1024;

/** Everything to one number. */
export default [
  operation({
    name: "sum 4M",
    inputs: { x: [COUNT] },
    output: [1],
    bytes: 4 * COUNT,
    // Summands of both signs: rounding errors are of the size of the numbers, the sum is far smaller than their sizes together.
    tolerance: 1e-3,
    reference: ({ x }) => Float64Array.of(x.reduce((total, value) => total + value, 0)),
    ours: ({ x }) => sum(x),
    jax: { run: ({ numpy }, { x }) => numpy.sum(x) },
    tfjs: { run: (tf, { x }) => tf.sum(x) },
    ort: [{ run: [{ op: "ReduceSum", inputs: ["x"], outputs: ["output"], attributes: { keepdims: 1 } }] }],
    torch: "x.sum()",
  }),
];
