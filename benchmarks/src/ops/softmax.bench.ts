import { softmax } from "@deplsr/tensor";
import { softmax as reference } from "../reference.ts";
import { operation } from "../row.ts";

const SHAPE = [8, 12, 197, 197];
const COLS = 197;

/** The attention maps of ViT-B/16 at batch 8. */
export default [
  operation({
    name: "softmax",
    inputs: { x: SHAPE },
    output: SHAPE,
    bytes: 2 * 4 * 8 * 12 * COLS * COLS,
    target: { ratio: 1 },
    reference: ({ x }) => reference(x, COLS),
    ours: ({ x }) => softmax(x, -1),
    jax: { run: ({ nn }, { x }) => nn.softmax(x, -1) },
    tfjs: { run: (tf, { x }) => tf.softmax(x, -1) },
    ort: [{ run: [{ op: "Softmax", inputs: ["x"], outputs: ["output"], attributes: { axis: -1 } }] }],
    torch: "torch.softmax(x, -1)",
  }),
];
