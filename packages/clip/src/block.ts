import { type FieldNames, type Init, LayerNorm, Linear, Module, MultiheadAttention, parameter } from "@deplsr/nn";
import { add, checkpoint, gelu, mul, quickGelu, type Tensor, transient } from "@deplsr/tensor";
import { BLOCK_NAMES } from "./keys.ts";

/** What both towers tell their blocks. */
export interface TransformerConfig {
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly mlpRatio: number;
  readonly layerScale: number | null;
  readonly quickGelu: boolean;
}

/** Ways through a transformer. */
export interface TransformerOptions {
  readonly mask?: "causal";
  /** Called with the output of each block, from block 0 on; what it returns goes on to the next block. */
  readonly afterBlock?: (x: Tensor, block: number) => Tensor;
  /** Recompute each block in the backward pass instead of storing its activations. */
  readonly checkpoint?: boolean;
}

/** The feed-forward layers of a block: `x (b, n, c)` → `(b, n, c)` through a hidden width. */
class FeedForward extends Module {
  readonly cFc: Linear;
  readonly cProj: Linear;
  readonly quickGelu: boolean;

  constructor(width: number, hidden: number, quick: boolean, init: Init) {
    super();
    this.cFc = new Linear(width, hidden, {}, init);
    this.cProj = new Linear(hidden, width, {}, init);
    this.quickGelu = quick;
  }

  forward(x: Tensor): Tensor {
    const hidden = this.cFc.forward(x);
    return this.cProj.forward(this.quickGelu ? quickGelu(hidden) : gelu(hidden));
  }
}

/** A learned factor for each channel of a residual branch. @see https://arxiv.org/abs/2103.17239 section 3 */
class LayerScale extends Module {
  readonly gamma: Tensor;

  constructor(width: number, start: number, init: Init) {
    super();
    this.gamma = parameter(init.device.full([width], start));
  }

  forward(x: Tensor): Tensor {
    return mul(x, this.gamma);
  }
}

/** Pre-norm transformer block, `x (b, n, c)` → `(b, n, c)`: attention, then feed-forward, each on a residual branch. */
export class ResidualAttentionBlock extends Module {
  readonly ln1: LayerNorm;
  readonly attn: MultiheadAttention;
  readonly ls1: LayerScale | null;
  readonly ln2: LayerNorm;
  readonly mlp: FeedForward;
  readonly ls2: LayerScale | null;

  constructor({ width, heads, mlpRatio, layerScale, quickGelu: quick }: TransformerConfig, init: Init) {
    super();
    this.ln1 = new LayerNorm(width, {}, init);
    this.attn = new MultiheadAttention(width, heads, init);
    this.ls1 = layerScale === null ? null : new LayerScale(width, layerScale, init);
    this.ln2 = new LayerNorm(width, {}, init);
    this.mlp = new FeedForward(width, Math.trunc(width * mlpRatio), quick, init);
    this.ls2 = layerScale === null ? null : new LayerScale(width, layerScale, init);
  }

  override fieldNames(): FieldNames {
    return BLOCK_NAMES;
  }

  forward(x: Tensor, mask?: "causal"): Tensor {
    const attended = this.attn.forward(this.ln1.forward(x), mask ? { mask } : {});
    const a = add(x, this.ls1 ? this.ls1.forward(attended) : attended);
    const fed = this.mlp.forward(this.ln2.forward(a));
    return add(a, this.ls2 ? this.ls2.forward(fed) : fed);
  }

  /** The attention map that `forward` uses, averaged over the heads: `(b, n, n)`. */
  attentionMap(x: Tensor, mask?: "causal"): Tensor {
    return this.attn.weights(this.ln1.forward(x), mask ? { mask } : {});
  }
}

/** What stands between the first and the last layer of a tower: tokens `(b, n, c)` → `(b, n, c)`. */
export interface TokenStack extends Module {
  forward(x: Tensor, options?: TransformerOptions): Tensor;
  /** Runs the stack and returns each block's head-averaged attention map `(b, n, n)`. */
  attentionMaps(x: Tensor, options?: TransformerOptions): Tensor[];
}

/** A stack of blocks. */
export class Transformer extends Module implements TokenStack {
  readonly resblocks: readonly ResidualAttentionBlock[];

  constructor(config: TransformerConfig, init: Init) {
    super();
    this.resblocks = Array.from({ length: config.layers }, () => new ResidualAttentionBlock(config, init));
  }

  forward(x: Tensor, options: TransformerOptions = {}): Tensor {
    const { mask, afterBlock } = options;
    return this.resblocks.reduce((value, block, index) => {
      const run = (input: Tensor): Tensor => block.forward(input, mask);
      const y = options.checkpoint ? checkpoint(run, value) : transient(() => run(value));
      return afterBlock ? afterBlock(y, index) : y;
    }, x);
  }

  attentionMaps(x: Tensor, options: TransformerOptions = {}): Tensor[] {
    const maps: Tensor[] = [];
    const [first] = this.resblocks;
    if (first) maps.push(first.attentionMap(x, options.mask));
    this.forward(x, {
      ...options,
      afterBlock: (output, index) => {
        const y = options.afterBlock ? options.afterBlock(output, index) : output;
        const next = this.resblocks[index + 1];
        if (next) maps.push(next.attentionMap(y, options.mask));
        return y;
      },
    });
    return maps;
  }
}
