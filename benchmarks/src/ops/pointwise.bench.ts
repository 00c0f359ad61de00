import { add, gelu, mul } from "@deplsr/tensor";
import { gelu as reference } from "../reference.ts";
import { operation } from "../row.ts";

const COUNT = 4 * 1024 * 1024;

/** A chain that should be one pass over memory. The factor and the summand are device values, not constants of the program. */
export default [
  operation({
    name: "gelu(x*a+b) 4M",
    inputs: { x: [COUNT], a: [1], b: [1] },
    output: [COUNT],
    bytes: 2 * 4 * COUNT,
    target: { ratio: 3 },
    reference: ({ x, a, b }) => Float64Array.from(x, (value) => reference(value * a[0]! + b[0]!)),
    ours: ({ x, a, b }) => gelu(add(mul(x, a), b)),
    jax: { run: ({ nn }, { x, a, b }) => nn.gelu(x.mul(a).add(b), { approximate: false }) },
    tfjs: {
      run: (tf, { x, a, b }) => {
        const y = tf.add(tf.mul(x, a), b);
        return tf.mul(tf.mul(y, 0.5), tf.add(tf.erf(tf.mul(y, Math.SQRT1_2)), 1));
      },
    },
    ort: [
      {
        run: [
          { op: "Mul", inputs: ["x", "a"], outputs: ["scaled"] },
          { op: "Add", inputs: ["scaled", "b"], outputs: ["shifted"] },
          { op: "Gelu", inputs: ["shifted"], outputs: ["output"] },
        ],
      },
    ],
    torch: "F.gelu(x * a + b)",
  }),
];
