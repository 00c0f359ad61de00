import { contiguous, transpose } from "@deplsr/tensor";
import { transpose as reference } from "../reference.ts";
import { operation } from "../row.ts";

const SIDE = 2048;

/** A matrix laid out the other way, as what reads it next wants it. */
export default [
  operation({
    name: "transpose 2048^2",
    inputs: { x: [SIDE, SIDE] },
    output: [SIDE, SIDE],
    bytes: 2 * 4 * SIDE ** 2,
    reference: ({ x }) => reference(x, 1, SIDE, SIDE),
    ours: ({ x }) => contiguous(transpose(x, 0, 1)),
    jax: { run: (_, { x }) => x.transpose([1, 0]) },
    tfjs: { run: (tf, { x }) => tf.transpose(x, [1, 0]) },
    ort: [{ run: [{ op: "Transpose", inputs: ["x"], outputs: ["output"], attributes: { perm: [1, 0] } }] }],
    torch: "x.T.contiguous()",
  }),
];
