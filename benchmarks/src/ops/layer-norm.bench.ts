import { layerNorm } from "@deplsr/tensor";
import { layerNorm as reference } from "../reference.ts";
import { operation } from "../row.ts";

const ROWS = 4096;
const COLS = 768;

/** Tokens of ViT-B width. */
export default [
  operation({
    name: "layer norm",
    inputs: { x: [ROWS, COLS], weight: [COLS], bias: [COLS] },
    output: [ROWS, COLS],
    bytes: 2 * 4 * ROWS * COLS,
    target: { ratio: 1 },
    reference: ({ x, weight, bias }) => reference(x, weight, bias),
    ours: ({ x, weight, bias }) => layerNorm(x, { weight, bias }),
    jax: { run: ({ nn }, { x, weight, bias }) => nn.standardize(x, -1).mul(weight).add(bias) },
    tfjs: {
      // The core has no layer norm of its own.
      run: (tf, { x, weight, bias }) => {
        const { mean, variance } = tf.moments(x, -1, true);
        const normal = tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, 1e-5)));
        return tf.add(tf.mul(normal, weight), bias);
      },
    },
    ort: [
      {
        constants: ["weight", "bias"],
        run: [
          {
            op: "LayerNormalization",
            inputs: ["x", "weight", "bias"],
            outputs: ["output"],
            attributes: { axis: -1, epsilon: { float: 1e-5 } },
          },
        ],
      },
    ],
    torch: "F.layer_norm(x, [768], weight, bias)",
  }),
];
