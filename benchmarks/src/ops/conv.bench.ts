import { conv2d } from "@deplsr/tensor";
import { type Convolution, convolution, convolutionInputGradient, convolutionWeightGradient } from "../reference.ts";
import { operation } from "../row.ts";

const SIZE = 64;
const CHANNELS = 64;
const IMAGE = [1, CHANNELS, SIZE, SIZE];
const WEIGHT = [CHANNELS, CHANNELS, 3, 3];
const sizes: Convolution = { batch: 1, channels: CHANNELS, outChannels: CHANNELS, size: SIZE, kernel: 3 };
const flops = 2 * SIZE ** 2 * CHANNELS ** 2 * 9;
const geometry = {
  batch: 1,
  channels: CHANNELS,
  height: SIZE,
  width: SIZE,
  outChannels: CHANNELS,
  outHeight: SIZE,
  outWidth: SIZE,
  kernel: [3, 3],
  stride: [1, 1],
  padding: [1, 1],
  dilation: [1, 1],
  groups: 1,
} as const;

/** TensorFlow.js is at its best with channels last. */
const IMAGE_LAST = { permute: [0, 2, 3, 1] };
const WEIGHT_LAST = { permute: [2, 3, 1, 0] };
/** The convolution branch of a DAT block. */
const DEPTHWISE: Convolution = { batch: 1, channels: 180, outChannels: 180, size: SIZE, kernel: 3, groups: 180 };
const FEATURES = [1, 180, SIZE, SIZE];
const attributes = { kernel_shape: [3, 3], pads: [1, 1, 1, 1] };

/** The body of a super-resolution network on a tile of 64 by 64, and what its backward pass launches. */
export default [
  operation({
    name: "conv 3x3 64->64",
    inputs: { x: IMAGE, weight: WEIGHT },
    output: IMAGE,
    flops,
    target: { ratio: 1.3 },
    reference: ({ x, weight }) => convolution(x, weight, sizes),
    ours: ({ x, weight }) => conv2d(x, weight, { padding: 1 }),
    jax: { run: ({ lax }, { x, weight }) => lax.conv(x, weight, [1, 1], "SAME") },
    tfjs: {
      layouts: { x: IMAGE_LAST, weight: WEIGHT_LAST, output: IMAGE_LAST },
      run: (tf, { x, weight }) => tf.conv2d(x, weight, 1, "same"),
    },
    ort: [{ constants: ["weight"], run: [{ op: "Conv", inputs: ["x", "weight"], outputs: ["output"], attributes }] }],
    torch: "F.conv2d(x, weight, padding=1)",
  }),
  operation({
    name: "conv 3x3 input gradient",
    inputs: { dy: IMAGE, weight: WEIGHT },
    output: IMAGE,
    flops,
    reference: ({ dy, weight }) => convolutionInputGradient(dy, weight, sizes),
    ours: ({ dy, weight }) => {
      const dx = dy.device.zeros(IMAGE);
      dy.device.backend.conv2dInputGrad({
        geometry,
        x: dx.view(),
        weight: weight.dense("bench"),
        y: dy.dense("bench"),
      });
      return dx;
    },
    jax: {
      run: ({ grad, lax, numpy }, { dy, weight }) => {
        const through = (x: typeof dy): typeof dy => numpy.sum(lax.conv(x, weight, [1, 1], "SAME").mul(dy));
        return grad(through)(numpy.zeros(IMAGE));
      },
    },
    tfjs: {
      layouts: { dy: IMAGE_LAST, weight: WEIGHT_LAST, output: IMAGE_LAST },
      run: (tf, { dy, weight }) => tf.conv2dTranspose(dy, weight, [1, SIZE, SIZE, CHANNELS], 1, "same"),
    },
    ort: [
      {
        constants: ["weight"],
        run: [{ op: "ConvTranspose", inputs: ["dy", "weight"], outputs: ["output"], attributes }],
      },
    ],
    torch: `torch.nn.grad.conv2d_input([${IMAGE}], weight, dy, padding=1)`,
  }),
  operation({
    name: "conv 3x3 weight gradient",
    inputs: { dy: IMAGE, x: IMAGE },
    output: WEIGHT,
    flops,
    reference: ({ dy, x }) => convolutionWeightGradient(dy, x, sizes),
    ours: ({ dy, x }) => {
      const dWeight = dy.device.zeros(WEIGHT);
      dy.device.backend.conv2dWeightGrad({
        geometry,
        x: x.dense("bench"),
        weight: dWeight.view(),
        y: dy.dense("bench"),
      });
      return dWeight;
    },
    jax: {
      run: ({ grad, lax, numpy }, { dy, x }) => {
        const through = (weight: typeof x): typeof x => numpy.sum(lax.conv(x, weight, [1, 1], "SAME").mul(dy));
        return grad(through)(numpy.zeros(WEIGHT));
      },
    },
    tfjs: {
      layouts: { dy: IMAGE_LAST, x: IMAGE_LAST, output: WEIGHT_LAST },
      run: (tf, { dy, x }) =>
        tf
          .engine()
          .runKernel(
            "Conv2DBackpropFilter",
            { x, dy },
            { strides: 1, pad: "same", dataFormat: "NHWC", filterShape: [3, 3, CHANNELS, CHANNELS] },
          ),
    },
    // A convolution of the image with the gradient as its kernel, channels as the batch.
    ort: [
      {
        layouts: {
          x: { permute: [1, 0, 2, 3] },
          dy: { permute: [1, 0, 2, 3] },
          output: { permute: [1, 0, 2, 3] },
        },
        run: [
          {
            op: "Conv",
            inputs: ["x", "dy"],
            outputs: ["output"],
            attributes: { kernel_shape: [SIZE, SIZE], pads: [1, 1, 1, 1] },
          },
        ],
      },
    ],
    torch: `torch.nn.grad.conv2d_weight(x, [${WEIGHT}], dy, padding=1)`,
  }),
  operation({
    name: "depthwise 3x3, 180 channels",
    inputs: { x: FEATURES, weight: [180, 1, 3, 3] },
    output: FEATURES,
    bytes: 2 * 4 * 180 * SIZE ** 2,
    reference: ({ x, weight }) => convolution(x, weight, DEPTHWISE),
    ours: ({ x, weight }) => conv2d(x, weight, { padding: 1, groups: 180 }),
    jax: {
      run: ({ lax }, { x, weight }) => lax.convGeneralDilated(x, weight, [1, 1], "SAME", { featureGroupCount: 180 }),
    },
    tfjs: {
      layouts: { x: IMAGE_LAST, weight: { permute: [2, 3, 0, 1] }, output: IMAGE_LAST },
      run: (tf, { x, weight }) => tf.depthwiseConv2d(x, weight, 1, "same"),
    },
    ort: [
      {
        constants: ["weight"],
        run: [{ op: "Conv", inputs: ["x", "weight"], outputs: ["output"], attributes: { ...attributes, group: 180 } }],
      },
    ],
    torch: "F.conv2d(x, weight, padding=1, groups=180)",
  }),
];
