/** CLIP's ViT-B/32 image tower, written once for every library that has no such class of its own: its parameters, its steps, and its definition in f64. */
import { VIT_B_32 } from "@deplsr/clip";
import type { Shape } from "@deplsr/tensor";
import { size, uniform } from "../arrays.ts";
import { attention, gelu, layerNorm, matmul, transpose } from "../reference.ts";
import type { Feeds } from "../task.ts";

const { vision, embedDim } = VIT_B_32;
export const WIDTH = vision.width;
export const HEADS = vision.width / vision.headWidth;
export const LAYERS = vision.layers;
export const PATCH = vision.patchSize;
export const IMAGE: Shape = [1, 3, vision.imageSize, vision.imageSize];
/** Patches along a side, and tokens: they and the class token. */
export const SIDE = vision.imageSize / PATCH;
export const TOKENS = SIDE ** 2 + 1;
export const FEATURES: Shape = [1, embedDim];
const HIDDEN = WIDTH * vision.mlpRatio;
const INNER = 3 * PATCH ** 2;

/** Multiply-adds twice: patches, blocks (qkv, scores and sums, projection, feed-forward), the class token's projection. */
export const FLOPS =
  2 * (TOKENS - 1) * INNER * WIDTH +
  LAYERS * 2 * TOKENS * WIDTH * (4 * WIDTH + 2 * TOKENS + 2 * HIDDEN) +
  2 * WIDTH * embedDim;

export const blockName = (index: number): string => `transformer.resblocks.${index}`;

/** Shapes of the parameters; matrices are (in, out), a patch is (channel, row, column). */
function shapes(): [name: string, shape: Shape][] {
  const norm = (name: string): [string, Shape][] => [
    [`${name}.weight`, [WIDTH]],
    [`${name}.bias`, [WIDTH]],
  ];
  const linear = (name: string, inputs: number, outputs: number): [string, Shape][] => [
    [`${name}.weight`, [inputs, outputs]],
    [`${name}.bias`, [outputs]],
  ];
  return [
    ["conv1.weight", [INNER, WIDTH]],
    ["class_embedding", [1, WIDTH]],
    ["positional_embedding", [TOKENS, WIDTH]],
    ...norm("ln_pre"),
    ...Array.from({ length: LAYERS }, (_, index) => blockName(index)).flatMap((block) => [
      ...norm(`${block}.ln_1`),
      ...linear(`${block}.attn.in_proj`, WIDTH, 3 * WIDTH),
      ...linear(`${block}.attn.out_proj`, WIDTH, WIDTH),
      ...norm(`${block}.ln_2`),
      ...linear(`${block}.mlp.c_fc`, WIDTH, HIDDEN),
      ...linear(`${block}.mlp.c_proj`, HIDDEN, WIDTH),
    ]),
    ...norm("ln_post"),
    ["proj.weight", [WIDTH, embedDim]],
  ];
}

/** The image and the parameters by their names: matrices uniform in ±1/√in, the rest in ±1. */
export function drawInputs(): Feeds["inputs"] {
  const parameters = shapes().map(([name, shape], index) => {
    const scale = name.endsWith(".weight") && shape.length === 2 ? 1 / Math.sqrt(shape[0]!) : 1;
    const data = uniform(size(shape), 1 + index);
    return [name, { shape, data: data.map((value) => value * scale) }] as const;
  });
  return { image: { shape: IMAGE, data: uniform(size(IMAGE), 0) }, ...Object.fromEntries(parameters) };
}

/** The same with the matrices as PyTorch's layers have them, (out, in); `proj` is none of a layer. */
export function drawLayerInputs(): Feeds["inputs"] {
  const turned = Object.entries(drawInputs()).map(([name, { shape, data }]) => {
    const [inputs, outputs] = shape as [number, number];
    if (shape.length !== 2 || !name.endsWith(".weight") || name === "proj.weight")
      return [name, { shape, data }] as const;
    return [name, { shape: [outputs, inputs], data: Float32Array.from(transpose(data, 1, inputs, outputs)) }] as const;
  });
  return Object.fromEntries(turned);
}

/** What a library brings to the tower. Tokens are (n, c), or (1, n, c). */
export interface Layers<T> {
  /** The image's patches, projected, behind the class token, at their positions: (1, 3, s, s) → (n, c). */
  embed(image: T): T;
  /** Parameters by name, without bias where there is none. */
  linear(x: T, name: string): T;
  layerNorm(x: T, name: string): T;
  gelu(x: T): T;
  add(x: T, y: T): T;
  /** Self-attention before its output projection: (n, c) → (n, c), with `in_proj`'s columns queries, keys, values. */
  attention(x: T, name: string): T;
  /** The class token, (n, c) → (1, c). */
  first(x: T): T;
  /** One more use of a value, where using consumes. */
  again(x: T): T;
}

/** The features of the image. */
export function visionTower<T>(layers: Layers<T>, image: T): T {
  const { linear, layerNorm, gelu, add, again } = layers;
  let x = layerNorm(layers.embed(image), "ln_pre");
  for (let index = 0; index < LAYERS; index++) {
    const block = blockName(index);
    const attended = layers.attention(layerNorm(again(x), `${block}.ln_1`), `${block}.attn`);
    x = add(x, linear(attended, `${block}.attn.out_proj`));
    const hidden = gelu(linear(layerNorm(again(x), `${block}.ln_2`), `${block}.mlp.c_fc`));
    x = add(x, linear(hidden, `${block}.mlp.c_proj`));
  }
  return linear(layerNorm(layers.first(x), "ln_post"), "proj");
}

/** The definition, in f64. */
export function referenceFeatures(): Float64Array {
  const inputs = drawInputs();
  const numbers = (name: string): Float32Array => inputs[name]!.data;
  const linear = (x: Float64Array, name: string): Float64Array => {
    const [inner, cols] = inputs[`${name}.weight`]!.shape as [number, number];
    const bias = inputs[`${name}.bias`]?.data;
    const y = matmul(x, numbers(`${name}.weight`), { batch: 1, rows: x.length / inner, inner, cols });
    return bias ? y.map((value, i) => value + bias[i % cols]!) : y;
  };
  const add = (x: Float64Array, y: ArrayLike<number>): Float64Array => x.map((value, i) => value + y[i]!);
  const layers: Layers<Float64Array> = {
    linear,
    add,
    again: (x) => x,
    gelu: (x) => x.map(gelu),
    layerNorm: (x, name) => layerNorm(x, numbers(`${name}.weight`), numbers(`${name}.bias`)),
    first: (x) => x.slice(0, WIDTH),
    attention(x, name) {
      const qkv = linear(x, `${name}.in_proj`);
      const dim = WIDTH / HEADS;
      const place = (head: number, token: number, i: number): number => (head * TOKENS + token) * dim + i;
      const [q, k, v] = [0, 1, 2].map((part) => {
        const out = new Float64Array(TOKENS * WIDTH);
        forEachEntry((head, token, i) => {
          out[place(head, token, i)] = qkv[(token * 3 + part) * WIDTH + head * dim + i]!;
        });
        return out;
      });
      const perHead = attention(q!, k!, v!, { heads: HEADS, tokens: TOKENS, dim });
      const out = new Float64Array(TOKENS * WIDTH);
      forEachEntry((head, token, i) => {
        out[token * WIDTH + head * dim + i] = perHead[place(head, token, i)]!;
      });
      return out;
    },
    embed(image) {
      const patches = new Float64Array((TOKENS - 1) * INNER);
      const imageSize = SIDE * PATCH;
      for (let i = 0; i < image.length; i++) {
        const [channel, y, x] = [Math.floor(i / imageSize ** 2), Math.floor(i / imageSize) % imageSize, i % imageSize];
        const patch = Math.floor(y / PATCH) * SIDE + Math.floor(x / PATCH);
        patches[patch * INNER + (channel * PATCH + (y % PATCH)) * PATCH + (x % PATCH)] = image[i]!;
      }
      const tokens = Float64Array.from([...numbers("class_embedding"), ...linear(patches, "conv1")]);
      return add(tokens, numbers("positional_embedding"));
    },
  };
  return visionTower(layers, Float64Array.from(numbers("image")));
}

function forEachEntry(visit: (head: number, token: number, i: number) => void): void {
  for (let head = 0; head < HEADS; head++) {
    for (let token = 0; token < TOKENS; token++) {
      for (let i = 0; i < WIDTH / HEADS; i++) visit(head, token, i);
    }
  }
}
