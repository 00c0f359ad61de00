import { add } from "@deplsr/tensor";
import { operation } from "../row.ts";

/** Next to no work: what it costs to have something done at all. */
export default [
  operation({
    name: "64-element add",
    inputs: { x: [64], y: [64] },
    output: [64],
    reference: ({ x, y }) => Float64Array.from(x, (value, i) => value + y[i]!),
    ours: ({ x, y }) => add(x, y),
    // A call of a compiled function costs several times what a single operation does.
    jax: { eager: true, run: (_, { x, y }) => x.add(y) },
    tfjs: { run: (tf, { x, y }) => tf.add(x, y) },
    ort: [{ run: [{ op: "Add", inputs: ["x", "y"], outputs: ["output"] }] }],
    torch: "x + y",
  }),
];
