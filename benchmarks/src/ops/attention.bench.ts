import { attention } from "@deplsr/tensor";
import { attention as reference } from "../reference.ts";
import { operation } from "../row.ts";

const HEADS = 12;
const TOKENS = 197;
const DIM = 64;
const SHAPE = [HEADS, TOKENS, DIM];
const PACKED = { permute: [1, 0, 2], shape: [1, TOKENS, HEADS * DIM] };

/** One image through one layer of ViT-B/16. */
export default [
  operation({
    name: "attention 12x197x64",
    inputs: { q: SHAPE, k: SHAPE, v: SHAPE },
    output: SHAPE,
    flops: 4 * HEADS * TOKENS * TOKENS * DIM,
    target: { ratio: 3 },
    reference: ({ q, k, v }) => reference(q, k, v, { heads: HEADS, tokens: TOKENS, dim: DIM }),
    ours: ({ q, k, v }) => attention(q, k, v),
    jax: {
      // Its dotProductAttention needs iterator helpers, which Node 20 lacks.
      run: ({ numpy, nn }, { q, k, v }) =>
        numpy.matmul(nn.softmax(numpy.matmul(q, k.transpose([0, 2, 1])).mul(1 / Math.sqrt(DIM)), -1), v),
    },
    tfjs: {
      run: (tf, { q, k, v }) => tf.matMul(tf.softmax(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(DIM)), -1), v),
    },
    ort: [
      {
        layouts: { q: PACKED, k: PACKED, v: PACKED, output: PACKED },
        run: [
          {
            op: "MultiHeadAttention",
            domain: "com.microsoft",
            inputs: ["q", "k", "v"],
            outputs: ["output"],
            attributes: { num_heads: HEADS },
          },
        ],
      },
      // The fused one of 1.30 is off by 3% on lavapipe.
      {
        layouts: { k: { permute: [0, 2, 1] } },
        run: [
          {
            op: "Constant",
            inputs: [],
            outputs: ["scale"],
            attributes: { value_float: { float: 1 / Math.sqrt(DIM) } },
          },
          { op: "Mul", inputs: ["q", "scale"], outputs: ["scaled"] },
          { op: "MatMul", inputs: ["scaled", "k"], outputs: ["scores"] },
          { op: "Softmax", inputs: ["scores"], outputs: ["map"], attributes: { axis: -1 } },
          { op: "MatMul", inputs: ["map", "v"], outputs: ["output"] },
        ],
      },
    ],
    torch: "attention(q, k, v)",
  }),
];
