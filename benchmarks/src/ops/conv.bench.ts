import { conv2d } from "@deplsr/tensor";
import { convolution } from "../reference.ts";
import { operation } from "../row.ts";

/** The body of a super-resolution network on a tile of 64 by 64. */
export default [
  operation({
    name: "conv 3x3 64->64",
    inputs: { x: [1, 64, 64, 64], weight: [64, 64, 3, 3] },
    output: [1, 64, 64, 64],
    flops: 2 * 64 ** 4 * 9,
    reference: ({ x, weight }) => convolution(x, weight, { channels: 64, outChannels: 64, size: 64, kernel: 3 }),
    ours: ({ x, weight }) => conv2d(x, weight, { padding: 1 }),
    jax: { run: ({ lax }, { x, weight }) => lax.conv(x, weight, [1, 1], "SAME") },
    tfjs: {
      layouts: { x: { permute: [0, 2, 3, 1] }, weight: { permute: [2, 3, 1, 0] }, output: { permute: [0, 2, 3, 1] } },
      run: (tf, { x, weight }) => tf.conv2d(x, weight, 1, "same"),
    },
    ort: [
      {
        run: [
          {
            op: "Conv",
            inputs: ["x", "weight"],
            outputs: ["output"],
            attributes: { kernel_shape: [3, 3], pads: [1, 1, 1, 1] },
          },
        ],
      },
    ],
  }),
];
