import { makeLinear } from "@deplsr/dat";
import { Dropout, type Init, inference, type Linear, type Mode, Module } from "@deplsr/nn";
import {
  add,
  cat,
  chunk,
  expand,
  matmul,
  mul,
  narrow,
  permute,
  reshape,
  softmax,
  sum,
  type Tensor,
  transpose,
  unsqueeze,
} from "@deplsr/tensor";

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

/** A linear layer's weight `(heads·d, c)` by heads, `(heads, d, c)`, a view. */
function weightByHeads(weight: Tensor, heads: number): Tensor {
  const [width, c] = weight.shape as [number, number];
  return reshape(weight, [heads, width / heads, c]);
}

/**
 * Multi-head attention of a few queries to a long sequence of the same width. Products are grouped so that the long sequence
 * x meets the few queries and not the weights: q·(x·Wkᵀ)ᵀ is (q·Wk)·xᵀ, and A·(x·Wvᵀ) is (A·x)·Wvᵀ. The bias of the keys adds
 * the same to all logits of a query, which the softmax does not see; that of the values passes through, as rows of A sum to 1.
 */
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
    const [b, n, c] = queries.shape as [number, number, number];
    const heads = this.#heads;
    const m = context.shape[1]!;
    const [weightK, weightV] = chunk(this.kv.weight, 2, 0).map((half) => weightByHeads(half, heads)) as [
      Tensor,
      Tensor,
    ];
    const asked = matmul(splitHeads(this.q.forward(queries), heads), weightK); // (b, heads, n, c)
    const scores = matmul(reshape(asked, [b, heads * n, c]), transpose(context, 1, 2));
    const attn = softmax(mul(reshape(scores, [b, heads, n, m]), (c / heads) ** -0.5), -1);
    const kept = this.#attnDrop.forward(attn, mode);
    const gathered = reshape(matmul(reshape(kept, [b, heads * n, m]), context), [b, heads, n, c]);
    const values = joinHeads(matmul(gathered, transpose(weightV, -1, -2))); // (b, n, c)
    const x = this.proj.forward(this.#withValueBias(values, kept === attn ? null : kept));
    return { x: this.#drop.forward(x, mode), attn };
  }

  /** Adds the bias of the values, as often as the rows of a map with dropped entries, `(b, heads, n, m)`, sum to. */
  #withValueBias(values: Tensor, dropped: Tensor | null): Tensor {
    if (!this.kv.bias) return values;
    const bias = narrow(this.kv.bias, 0, values.shape[2]!, values.shape[2]!);
    if (!dropped) return add(values, bias);
    const share = sum(dropped, { dim: -1, keepDim: true }); // (b, heads, n, 1)
    return add(values, joinHeads(mul(share, reshape(bias, [this.#heads, 1, -1]))));
  }
}

/** The image's features and what is known of it, after they have attended to each other. */
export interface Fused extends Attended {
  /** (b, ni, c) */
  readonly xi: Tensor;
  /** (b, nd, c) */
  readonly xd: Tensor;
  /** The map with which the content features attended to the image, (b, heads, ni, n). */
  readonly attnI: Tensor;
  /** The same of the degradation features, (b, heads, nd, n). */
  readonly attnD: Tensor;
}

/**
 * Content and degradation features attend to the image, then the image attends to all their pairs.
 * `CrossAttention_Fusion` of the reference. As in {@link CrossAttention}, the weights meet the few pairs and not the image:
 * (x·Wqᵀ)·kᵀ is x·(k·Wq)ᵀ, and (A·v)·Wprojᵀ is A·(v·Wprojᵀ).
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
    const { x: content, attn: attnI } = this.attnI.forward(xi, x, mode);
    const { x: degradation, attn: attnD } = this.attnD.forward(xd, x, mode);
    const pairs = pairsOf(content, degradation); // (b, p, 2c), p = ni·nd
    const [b, n, c] = x.shape as [number, number, number];
    const [heads, p] = [this.#heads, pairs.shape[1]!];
    const k = splitHeads(this.k.forward(pairs), heads); // (b, heads, p, d)
    const keys = reshape(matmul(k, weightByHeads(this.q.weight, heads)), [b, heads * p, c]);
    const scores = this.#withQueryBias(matmul(x, transpose(keys, 1, 2)), k); // (b, n, heads·p)
    const attn = softmax(mul(reshape(scores, [b, n, heads, p]), this.#scale), -1);
    const kept = reshape(this.#attnDrop.forward(attn, mode), [b, n, heads * p]);
    const weightProj = permute(reshape(this.proj.weight, [c, heads, c / heads]), [1, 2, 0]); // (heads, d, c)
    const values = reshape(matmul(splitHeads(this.v.forward(pairs), heads), weightProj), [b, heads * p, c]);
    const fused = add(matmul(kept, values), this.proj.bias!); // (b, n, c)
    return {
      x: this.#drop.forward(fused, mode),
      xi: content,
      xd: degradation,
      attn: permute(attn, [0, 2, 1, 3]),
      attnI,
      attnD,
    };
  }

  /** Adds the product of the queries' bias and the keys `(b, heads, p, d)` to the scores `(b, n, heads·p)`. */
  #withQueryBias(scores: Tensor, k: Tensor): Tensor {
    if (!this.q.bias) return scores;
    const [b, heads, p, d] = k.shape as [number, number, number, number];
    return add(scores, reshape(matmul(k, reshape(this.q.bias, [heads, d, 1])), [b, 1, heads * p]));
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
