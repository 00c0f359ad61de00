import { attention, contiguous, permute, reshape, type Tensor, transpose } from "@deplsr/tensor";
import { permute as permuteValues } from "../arrays.ts";
import { attention as reference } from "../reference.ts";
import { operation } from "../row.ts";

const SIZE = 64;
const [ROWS, COLS] = [8, 32];
/** Windows down and across. */
const [DOWN, ACROSS] = [SIZE / ROWS, SIZE / COLS];
const WINDOWS = DOWN * ACROSS;
const TOKENS = ROWS * COLS;
/** Half of DAT's 180 channels: one of the two branches. */
const HEADS = 3;
const DIM = 30;
const CHANNELS = HEADS * DIM;
const IMAGE = [1, CHANNELS, SIZE, SIZE];

/** Channels last, as window attention is written elsewhere: the rows of a window are runs of tokens. */
const LAST = { permute: [0, 2, 3, 1] };
const LAYOUTS = { q: LAST, k: LAST, v: LAST, output: LAST };
const CUT = [DOWN, ROWS, ACROSS, COLS, HEADS, DIM];
const TO_WINDOWS = [0, 2, 4, 1, 3, 5];
const PER_WINDOW = [WINDOWS, HEADS, TOKENS, DIM];
const UNCUT = [DOWN, ACROSS, HEADS, ROWS, COLS, DIM];
const TO_IMAGE = [0, 3, 1, 4, 2, 5];

/** The definition: windows out of the image (h, w, c), attention in each, and back. */
function windowed(q: Float32Array, k: Float32Array, v: Float32Array, bias: Float32Array): Float64Array {
  const last = (x: Float32Array): Float32Array => permuteValues(x, [CHANNELS, SIZE, SIZE], [1, 2, 0]);
  const cut = (x: Float32Array): Float32Array => permuteValues(last(x), CUT, TO_WINDOWS);
  const sizes = { heads: WINDOWS * HEADS, tokens: TOKENS, dim: DIM };
  const attended = Float32Array.from(reference(cut(q), cut(k), cut(v), sizes, bias));
  const image = permuteValues(attended, UNCUT, TO_IMAGE);
  return Float64Array.from(permuteValues(image, [SIZE, SIZE, CHANNELS], [2, 0, 1]));
}

/** Images (1, c, h, w) → windows (windows, heads, n, d), as DAT cuts them. */
function cut(x: Tensor): Tensor {
  const rows = permute(reshape(x, [CHANNELS, DOWN, ROWS, ACROSS, COLS]), [1, 3, 0, 2, 4]);
  return transpose(reshape(rows, [WINDOWS, HEADS, DIM, TOKENS]), -1, -2);
}

function merge(x: Tensor): Tensor {
  const rows = reshape(contiguous(transpose(x, -1, -2)), [DOWN, ACROSS, CHANNELS, ROWS, COLS]);
  return reshape(permute(rows, [2, 0, 3, 1, 4]), IMAGE);
}

/** One branch of DAT's spatial attention, from image to image. */
export default [
  operation({
    name: "window attention 8x32",
    inputs: { q: IMAGE, k: IMAGE, v: IMAGE, bias: [HEADS, TOKENS, TOKENS] },
    output: IMAGE,
    flops: 4 * WINDOWS * HEADS * TOKENS ** 2 * DIM,
    target: { ratio: 3 },
    reference: ({ q, k, v, bias }) => windowed(q, k, v, bias),
    ours: ({ q, k, v, bias }) => merge(attention(cut(q), cut(k), cut(v), { bias })),
    jax: {
      layouts: LAYOUTS,
      run: ({ numpy, nn }, { q, k, v, bias }) => {
        const cut = (x: typeof q): typeof q => x.reshape(CUT).transpose(TO_WINDOWS).reshape(PER_WINDOW);
        const scores = numpy.matmul(cut(q), cut(k).transpose([0, 1, 3, 2])).mul(1 / Math.sqrt(DIM));
        const attended = numpy.matmul(nn.softmax(scores.add(bias), -1), cut(v));
        return attended.reshape(UNCUT).transpose(TO_IMAGE).reshape([1, SIZE, SIZE, CHANNELS]);
      },
    },
    tfjs: {
      layouts: LAYOUTS,
      run: (tf, { q, k, v, bias }) => {
        const cut = (x: typeof q): typeof q => tf.reshape(tf.transpose(tf.reshape(x, CUT), TO_WINDOWS), PER_WINDOW);
        const scores = tf.mul(tf.matMul(cut(q), cut(k), false, true), 1 / Math.sqrt(DIM));
        const attended = tf.matMul(tf.softmax(tf.add(scores, bias), -1), cut(v));
        return tf.reshape(tf.transpose(tf.reshape(attended, UNCUT), TO_IMAGE), [1, SIZE, SIZE, CHANNELS]);
      },
    },
    ort: [
      {
        layouts: { ...LAYOUTS, bias: { permute: [0, 1, 2], shape: [1, HEADS, TOKENS, TOKENS] } },
        constants: ["bias"],
        run: [
          {
            op: "Constant",
            inputs: [],
            outputs: ["cut"],
            attributes: { value_ints: [DOWN, ROWS, ACROSS, COLS, CHANNELS] },
          },
          { op: "Constant", inputs: [], outputs: ["windows"], attributes: { value_ints: [WINDOWS, TOKENS, CHANNELS] } },
          {
            op: "Constant",
            inputs: [],
            outputs: ["uncut"],
            attributes: { value_ints: [DOWN, ACROSS, ROWS, COLS, CHANNELS] },
          },
          { op: "Constant", inputs: [], outputs: ["image"], attributes: { value_ints: [1, SIZE, SIZE, CHANNELS] } },
          ...["q", "k", "v"].flatMap((name) => [
            { op: "Reshape", inputs: [name, "cut"], outputs: [`${name} cut`] },
            {
              op: "Transpose",
              inputs: [`${name} cut`],
              outputs: [`${name} rows`],
              attributes: { perm: [0, 2, 1, 3, 4] },
            },
            { op: "Reshape", inputs: [`${name} rows`, "windows"], outputs: [`${name} windows`] },
          ]),
          {
            op: "MultiHeadAttention",
            domain: "com.microsoft",
            inputs: ["q windows", "k windows", "v windows", "", "", "bias"],
            outputs: ["attended"],
            attributes: { num_heads: HEADS },
          },
          { op: "Reshape", inputs: ["attended", "uncut"], outputs: ["rows"] },
          { op: "Transpose", inputs: ["rows"], outputs: ["merged"], attributes: { perm: [0, 2, 1, 3, 4] } },
          { op: "Reshape", inputs: ["merged", "image"], outputs: ["output"] },
        ],
      },
    ],
    torch: {
      layouts: LAYOUTS,
      run: `attention(*(x.view(${CUT}).permute(${TO_WINDOWS}).reshape(${PER_WINDOW}) for x in (q, k, v)), bias)
        .view(${UNCUT}).permute(${TO_IMAGE}).reshape(1, ${SIZE}, ${SIZE}, ${CHANNELS})`,
    },
  }),
];
