import { matmul } from "@deplsr/tensor";
import { matmul as reference } from "../reference.ts";
import { operation } from "../row.ts";

/** A product whose sides are far from small and far from filling a large GPU. */
export default [
  operation({
    name: "matmul 512^3",
    inputs: { a: [512, 512], b: [512, 512] },
    output: [512, 512],
    flops: 2 * 512 ** 3,
    reference: ({ a, b }) => reference(a, b, { batch: 1, rows: 512, inner: 512, cols: 512 }),
    ours: ({ a, b }) => matmul(a, b),
    jax: { run: ({ numpy }, { a, b }) => numpy.matmul(a, b) },
    tfjs: { run: (tf, { a, b }) => tf.matMul(a, b) },
    ort: [{ run: [{ op: "MatMul", inputs: ["a", "b"], outputs: ["output"] }] }],
  }),
];
