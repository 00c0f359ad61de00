import { makeLinear } from "@deplsr/dat";
import { Dropout, type Init, inference, type Linear, type Mode, Module } from "@deplsr/nn";
import { attentionWeights, cat, chunk, expand, matmul, permute, reshape, type Tensor, unsqueeze } from "@deplsr/tensor";

/** Features and the softmax map that made them, `(b, heads, queries, keys)`. */
export interface Attended {
  readonly x: Tensor;
  readonly attn: Tensor;
}

/** How attention layers are built. Defaults: biases on q, k and v, no dropout. */
export interface CrossAttentionOptions {
  readonly numHeads: number;
  readonly qkvBias?: boolean;
  /** Of the softmax map. */
  readonly attnDropRate?: number;
  /** Of the result. */
  readonly dropRate?: number;
}

function checkHeads(layer: string, dim: number, numHeads: number): void {
  if (!(Number.isInteger(numHeads) && numHeads > 0 && dim % numHeads === 0)) {
    throw new Error(`${layer}: dim ${dim} does not divide into ${numHeads} heads`);
  }
}

/** `(b, n, heads·d)` → `(b, heads, n, d)`, a view. */
function splitHeads(x: Tensor, heads: number): Tensor {
  const [b, n, c] = x.shape as [number, number, number];
  return permute(reshape(x, [b, n, heads, c / heads]), [0, 2, 1, 3]);
}

/** The reverse of {@link splitHeads}, one copy. */
function joinHeads(x: Tensor): Tensor {
  const [b, heads, n, d] = x.shape as [number, number, number, number];
  return reshape(permute(x, [0, 2, 1, 3]), [b, n, heads * d]);
}

/** Multi-head attention of one sequence to another of the same width. */
export class CrossAttention extends Module {
  readonly q: Linear;
  readonly kv: Linear;
  readonly proj: Linear;
  readonly #heads: number;
  readonly #attnDrop: Dropout;
  readonly #drop: Dropout;

  /** @throws Error when `dim` does not divide into the heads */
  constructor(dim: number, options: CrossAttentionOptions, init: Init) {
    super();
    const { numHeads, qkvBias = true, attnDropRate = 0, dropRate = 0 } = options;
    checkHeads("CrossAttention", dim, numHeads);
    this.q = makeLinear(dim, dim, qkvBias, init);
    this.kv = makeLinear(dim, 2 * dim, qkvBias, init);
    this.proj = makeLinear(dim, dim, true, init);
    this.#heads = numHeads;
    this.#attnDrop = new Dropout(attnDropRate);
    this.#drop = new Dropout(dropRate);
  }

  /** Queries `(b, n, c)`, keys and values from `context (b, m, c)` → x `(b, n, c)`. */
  forward(queries: Tensor, context: Tensor, mode: Mode = inference): Attended {
    const heads = this.#heads;
    const q = splitHeads(this.q.forward(queries), heads); // (b, heads, n, d)
    const kv = chunk(this.kv.forward(context), 2, 2).map((part) => splitHeads(part, heads)); // (b, heads, m, d)
    const [k, v] = kv as [Tensor, Tensor];
    const attn = attentionWeights(q, k, { scale: q.shape[3]! ** -0.5 });
    const attended = joinHeads(matmul(this.#attnDrop.forward(attn, mode), v));
    return { x: this.#drop.forward(this.proj.forward(attended), mode), attn };
  }
}

/** The image's features and what is known of it, after they have attended to each other. */
export interface Fused extends Attended {
  /** (b, ni, c) */
  readonly xi: Tensor;
  /** (b, nd, c) */
  readonly xd: Tensor;
}

/**
 * Content and degradation features attend to the image, then the image attends to all their pairs.
 * `CrossAttention_Fusion` of the reference.
 */
export class CrossAttentionFusion extends Module {
  readonly attnI: CrossAttention;
  readonly attnD: CrossAttention;
  readonly q: Linear;
  readonly k: Linear;
  readonly v: Linear;
  readonly proj: Linear;
  readonly #heads: number;
  readonly #scale: number;
  readonly #attnDrop: Dropout;
  readonly #drop: Dropout;

  /**
   * @param options `dimRatio`: width of the queries and keys as a multiple of `dim`
   * @throws Error when `dim`, or the width of the queries, does not divide into the heads
   */
  constructor(dim: number, options: CrossAttentionOptions & { readonly dimRatio?: number }, init: Init) {
    super();
    const { numHeads, qkvBias = true, dimRatio = 1, attnDropRate = 0, dropRate = 0 } = options;
    const width = Math.trunc(dim * dimRatio);
    checkHeads("CrossAttentionFusion", width, numHeads);
    this.attnI = new CrossAttention(dim, options, init);
    this.attnD = new CrossAttention(dim, options, init);
    this.q = makeLinear(dim, width, qkvBias, init);
    this.k = makeLinear(2 * dim, width, qkvBias, init);
    this.v = makeLinear(2 * dim, dim, qkvBias, init);
    this.proj = makeLinear(dim, dim, true, init);
    this.#heads = numHeads;
    // The reference keeps the scale of the full width where the queries are narrower.
    this.#scale = (dim / numHeads) ** -0.5;
    this.#attnDrop = new Dropout(attnDropRate);
    this.#drop = new Dropout(dropRate);
  }

  /** Tokens `x (b, n, c)`, content `xi (b, ni, c)`, degradation `xd (b, nd, c)`; x, xi and xd keep their shapes. */
  forward(x: Tensor, xi: Tensor, xd: Tensor, mode: Mode = inference): Fused {
    const content = this.attnI.forward(xi, x, mode).x;
    const degradation = this.attnD.forward(xd, x, mode).x;
    const pairs = pairsOf(content, degradation); // (b, ni·nd, 2c)
    const q = splitHeads(this.q.forward(x), this.#heads);
    const k = splitHeads(this.k.forward(pairs), this.#heads);
    const v = splitHeads(this.v.forward(pairs), this.#heads);
    const attn = attentionWeights(q, k, { scale: this.#scale }); // (b, heads, n, ni·nd)
    const attended = joinHeads(matmul(this.#attnDrop.forward(attn, mode), v));
    return { x: this.#drop.forward(this.proj.forward(attended), mode), xi: content, xd: degradation, attn };
  }
}

/** Every content feature beside every degradation feature, content slowest: `(b, ni·nd, 2c)`. */
function pairsOf(content: Tensor, degradation: Tensor): Tensor {
  const [b, ni, c] = content.shape as [number, number, number];
  const nd = degradation.shape[1]!;
  const left = expand(unsqueeze(content, 2), [b, ni, nd, c]);
  const right = expand(unsqueeze(degradation, 1), [b, ni, nd, c]);
  return reshape(cat([left, right], 3), [b, ni * nd, 2 * c]);
}
