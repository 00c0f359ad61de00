import {
  attention,
  attentionWeights,
  checkOptions,
  checkTensor,
  checkWhole,
  chunk,
  linear,
  mean,
  permute,
  reshape,
  ShapeError,
  Tensor,
  wrongArgument,
} from "@deplsr/tensor";
import { checkInit } from "./arguments.ts";
import { type Init, xavierUniform } from "./init.ts";
import { Linear } from "./linear.ts";
import { Module, parameter } from "./module.ts";

/** `causal`: a token sees itself and earlier ones; a tensor: added to the scores, broadcast to (b, heads, n, n). */
export interface AttentionOptions {
  readonly mask?: "causal" | Tensor;
}

function checkMask(options: AttentionOptions): void {
  checkOptions("MultiheadAttention", options, ["mask"]);
  const { mask } = options;
  if (mask === undefined || mask === "causal") return;
  if (!(mask instanceof Tensor)) throw wrongArgument("MultiheadAttention", "mask", '"causal" or a tensor', mask);
}

/**
 * Self-attention over tokens `x (b, n, c)` → `(b, n, c)` with `heads` heads of size d = c / heads and scale 1/√d. Rows of
 * `inProjWeight` are queries, keys, values, and a head's channels are contiguous, as in PyTorch. @see https://arxiv.org/abs/1706.03762
 */
export class MultiheadAttention extends Module {
  /** (3c, c), Xavier uniform at the start */
  readonly inProjWeight: Tensor;
  /** (3c), 0 at the start */
  readonly inProjBias: Tensor;
  readonly outProj: Linear;
  readonly heads: number;

  constructor(dim: number, heads: number, init: Init) {
    super();
    checkWhole("MultiheadAttention", "dim", dim, 1);
    checkWhole("MultiheadAttention", "heads", heads, 1);
    checkInit("MultiheadAttention", init);
    if (dim % heads !== 0) throw new RangeError(`MultiheadAttention: ${heads} heads do not divide the width ${dim}`);
    this.inProjWeight = parameter(xavierUniform([3 * dim, dim], init));
    this.inProjBias = parameter(init.device.zeros([3 * dim]));
    this.outProj = new Linear(dim, dim, {}, init);
    this.heads = heads;
  }

  forward(x: Tensor, options: AttentionOptions = {}): Tensor {
    checkMask(options);
    const { q, k, v } = this.project(x);
    const perHead = attention(q, k, v, { scale: this.scale(x), ...options }); // (b, heads, n, d)
    return this.outProj.forward(reshape(permute(perHead, [0, 2, 1, 3]), x.shape));
  }

  /** The softmax map averaged over the heads: `x (b, n, c)` → `(b, n, n)`; row i says where token i looks. */
  weights(x: Tensor, options: AttentionOptions = {}): Tensor {
    checkMask(options);
    const { q, k } = this.project(x);
    return mean(attentionWeights(q, k, { scale: this.scale(x), ...options }), { dim: 1 });
  }

  private scale(x: Tensor): number {
    return (x.shape[2]! / this.heads) ** -0.5;
  }

  /** `x (b, n, c)` → queries, keys and values `(b, heads, n, d)`. */
  private project(x: Tensor): { q: Tensor; k: Tensor; v: Tensor } {
    checkTensor("MultiheadAttention", "x", x);
    const width = this.inProjWeight.shape[1];
    if (x.rank !== 3 || x.shape[2] !== width) {
      throw new ShapeError(`MultiheadAttention: takes x (b, n, ${width}), got [${x.shape.join(", ")}]`);
    }
    const [b = 0, n = 0, c = 0] = x.shape;
    const qkv = linear(x, this.inProjWeight, this.inProjBias); // (b, n, 3c)
    const perHead = (part: Tensor): Tensor => permute(reshape(part, [b, n, this.heads, c / this.heads]), [0, 2, 1, 3]);
    const [q, k, v] = chunk(qkv, 3, 2);
    return { q: perHead(q!), k: perHead(k!), v: perHead(v!) };
  }
}
