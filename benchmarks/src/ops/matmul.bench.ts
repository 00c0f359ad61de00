import { matmul } from "@deplsr/tensor";
import { matmul as reference } from "../reference.ts";
import { operation, type Row } from "../row.ts";

/** A product (rows, inner) · (inner, cols). */
const product = (name: string, rows: number, inner: number, cols: number): Row =>
  operation({
    name,
    inputs: { a: [rows, inner], b: [inner, cols] },
    output: [rows, cols],
    flops: 2 * rows * inner * cols,
    target: { ratio: 1.5, torch: 0.4 },
    reference: ({ a, b }) => reference(a, b, { batch: 1, rows, inner, cols }),
    ours: ({ a, b }) => matmul(a, b),
    jax: { run: ({ numpy }, { a, b }) => numpy.matmul(a, b) },
    tfjs: { run: (tf, { a, b }) => tf.matMul(a, b) },
    ort: [{ run: [{ op: "MatMul", inputs: ["a", "b"], outputs: ["output"] }] }],
    torch: "a @ b",
  });

/** One whose sides are far from small and far from filling a large GPU, and the hidden layer of ViT-B on 1024 tokens. */
export default [product("matmul 512^3", 512, 512, 512), product("matmul 1024x768x3072", 1024, 768, 3072)];
