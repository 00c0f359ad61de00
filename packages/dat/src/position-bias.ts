import { type FieldNames, type Init, LayerNorm, type Linear, type Mode, Module } from "@deplsr/nn";
import { embedding, gradEnabled, type NormMlpLayer, normMlp, permute, reshape, type Tensor } from "@deplsr/tensor";
import { positionWidth } from "./config.ts";
import { POSITION_LAYER_NAMES } from "./keys.ts";
import { makeLinear } from "./linear.ts";
import type { WindowTable } from "./window-tables.ts";

/** LayerNorm, ReLU, Linear: `(offsets, p)` → `(offsets, out)`. */
class PositionLayer extends Module {
  readonly norm: LayerNorm;
  readonly linear: Linear;

  constructor(p: number, out: number, eps: number, init: Init) {
    super();
    this.norm = new LayerNorm(p, { eps }, init);
    this.linear = makeLinear(p, out, true, init);
  }

  override fieldNames(): FieldNames {
    return POSITION_LAYER_NAMES;
  }

  get layer(): NormMlpLayer {
    const { weight, bias } = this.norm;
    return { ...layerOf(this.linear), norm: { weight, bias } };
  }
}

function layerOf({ weight, bias }: Linear): NormMlpLayer {
  return { weight, bias: bias! };
}

/**
 * Dynamic position bias: an MLP from the offset between two tokens to what their logits gain, for each head.
 * @see https://arxiv.org/abs/2308.03364, section 3.1, and CrossFormer, https://arxiv.org/abs/2108.00154
 */
export class PositionBias extends Module {
  readonly posProj: Linear;
  readonly pos1: PositionLayer;
  readonly pos2: PositionLayer;
  readonly pos3: PositionLayer;
  readonly #constant: boolean;
  readonly #eps: number;

  constructor(embedDim: number, heads: number, eps: number, init: Init) {
    super();
    const p = positionWidth(embedDim);
    this.posProj = makeLinear(2, p, true, init);
    this.pos1 = new PositionLayer(p, p, eps, init);
    this.pos2 = new PositionLayer(p, p, eps, init);
    this.pos3 = new PositionLayer(p, heads, eps, init);
    this.#constant = p <= 1;
    this.#eps = eps;
  }

  /**
   * Bias of every pair of tokens, `(heads, n, n)`; null where it is the same for all pairs, which no softmax notices.
   * That is so below an `embedDim` of 64: a LayerNorm over a single value always gives its bias, whatever the offset, and
   * no gradient comes back through it. In inference without gradients it is computed once while the weights stand.
   */
  forward(table: WindowTable, mode: Mode): Tensor | null {
    if (this.#constant) return null;
    if (mode.training || gradEnabled()) return this.#ofOffsets(table);
    return table.biases.of(this, this.parameters().values(), () => this.#ofOffsets(table));
  }

  #ofOffsets({ offsets, index, window }: WindowTable): Tensor {
    const layers = [layerOf(this.posProj), this.pos1.layer, this.pos2.layer, this.pos3.layer];
    const table = normMlp(offsets, layers, { eps: this.#eps }); // ((2hs-1)(2ws-1), heads)
    const n = window[0] * window[1];
    return permute(reshape(embedding(table, index), [n, n, table.shape[1]!]), [2, 0, 1]);
  }
}
