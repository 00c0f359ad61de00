import { type FieldNames, type Init, LayerNorm, Linear, Mlp, Module, normal, parameter, Sequential } from "@deplsr/nn";
import {
  add,
  cat,
  embedding,
  expand,
  mul,
  reshape,
  select,
  softmax,
  sub,
  sum,
  type Tensor,
  transient,
} from "@deplsr/tensor";
import { attend } from "./attention.ts";
import { PatchEmbedding } from "./musiq-embedding.ts";
import { musiqCells, musiqPatches, musiqScales, type PatchGrid } from "./musiq-patches.ts";
import { checkImages, MetricNetwork, Named, type Watch } from "./network.ts";

/** Sizes of the network. */
export interface MUSIQConfig {
  /** Side of a patch in pixels. */
  readonly patchSize: number;
  /** Longer sides of the smaller images that are looked at besides the image itself. */
  readonly longerSides: readonly number[];
  /** Rows and columns of the table of positions. */
  readonly grid: number;
  readonly hidden: number;
  readonly mlpHidden: number;
  readonly heads: number;
  readonly layers: number;
  /** 1: the last layer gives the score; else the score is the mean of a distribution over 1 … classes. */
  readonly classes: number;
}

/** The published sizes of the network that was trained on KonIQ-10k. */
export const MUSIQ_KONIQ: MUSIQConfig = {
  patchSize: 32,
  longerSides: [224, 384],
  grid: 10,
  hidden: 384,
  mlpHidden: 1152,
  heads: 6,
  layers: 14,
  classes: 1,
};

class Attention extends Module {
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly out: Linear;
  readonly heads: number;

  constructor(width: number, heads: number, init: Init) {
    super();
    this.query = new Linear(width, width, {}, init);
    this.key = new Linear(width, width, {}, init);
    this.value = new Linear(width, width, {}, init);
    this.out = new Linear(width, width, {}, init);
    this.heads = heads;
  }

  forward(x: Tensor): Tensor {
    return this.out.forward(attend(this.query.forward(x), this.key.forward(x), this.value.forward(x), this.heads));
  }
}

/** Pre-norm transformer block: `(b, n, c)` → `(b, n, c)`. */
class EncoderBlock extends Module {
  readonly norm1: LayerNorm;
  readonly attention: Attention;
  readonly norm2: LayerNorm;
  readonly mlp: Mlp;

  constructor({ hidden, mlpHidden, heads }: MUSIQConfig, init: Init) {
    super();
    this.norm1 = new LayerNorm(hidden, { eps: 1e-6 }, init);
    this.attention = new Attention(hidden, heads, init);
    this.norm2 = new LayerNorm(hidden, { eps: 1e-6 }, init);
    this.mlp = new Mlp({ input: hidden, hidden: mlpHidden }, undefined, init);
  }

  forward(x: Tensor): Tensor {
    const y = add(x, this.attention.forward(this.norm1.forward(x)));
    return add(y, this.mlp.forward(this.norm2.forward(y)));
  }
}

class PositionEmbedding extends Module {
  /** (1, grid², c) */
  readonly positionEmb: Tensor;

  constructor({ grid, hidden }: MUSIQConfig, init: Init) {
    super();
    this.positionEmb = parameter(normal([1, grid ** 2, hidden], 0.02, init));
  }
}

class ScaleEmbedding extends Module {
  /** (scales, c) */
  readonly scaleEmb: Tensor;

  constructor({ longerSides, hidden }: MUSIQConfig, init: Init) {
    super();
    this.scaleEmb = parameter(normal([longerSides.length + 1, hidden], 0.02, init));
  }
}

/** Transformer over the patches of all scales and a class token. */
class Encoder extends Module {
  /** (1, 1, c) */
  readonly cls: Tensor;
  readonly posembedInput: PositionEmbedding;
  readonly scaleembedInput: ScaleEmbedding;
  readonly transformer: Named<EncoderBlock>;
  readonly encoderNorm: LayerNorm;

  constructor(config: MUSIQConfig, init: Init) {
    super();
    this.cls = parameter(init.device.zeros([1, 1, config.hidden]));
    this.posembedInput = new PositionEmbedding(config, init);
    this.scaleembedInput = new ScaleEmbedding(config, init);
    this.transformer = new Named(
      Array.from({ length: config.layers }, (_, i) => [`encoderblock_${i}`, new EncoderBlock(config, init)]),
    );
    this.encoderNorm = new LayerNorm(config.hidden, { eps: 1e-6 }, init);
  }

  /**
   * Tokens `(b, n, c)` of all scales with their cells and scales, `n` each, to the normalised class token `(b, c)`.
   *
   * @param watch sees what enters the first block (`tokens`) and what each block gives (`block0` …), `(b, 1 + n, c)`, and the result (`cls`)
   */
  forward(tokens: Tensor, cells: Tensor, scales: Tensor, watch?: Watch): Tensor {
    const [b = 0, , c = 0] = tokens.shape;
    const positions = embedding(reshape(this.posembedInput.positionEmb, [-1, c]), cells);
    const placed = add(add(tokens, positions), embedding(this.scaleembedInput.scaleEmb, scales));
    let x = cat([expand(this.cls, [b, 1, c]), placed], 1);
    watch?.("tokens", x);
    [...this.transformer.parts.values()].forEach((block, index) => {
      const input = x;
      x = transient(() => block.forward(input));
      watch?.(`block${index}`, x);
    });
    const cls = this.encoderNorm.forward(select(x, 1, 0));
    watch?.("cls", cls);
    return cls;
  }
}

/**
 * MUSIQ: a transformer over patches of a photograph in several sizes scores it without reference; about 0 … 100, higher is better.
 *
 * File: `musiq_koniq_ckpt-e95806b9.pth` from https://huggingface.co/chaofengc/IQA-PyTorch-Weights, converted from
 * https://github.com/google-research/google-research/tree/master/musiq.
 *
 * @see https://arxiv.org/abs/2108.05997
 */
export class MUSIQ extends MetricNetwork {
  readonly patchEmbedding: PatchEmbedding;
  readonly transformerEncoder: Encoder;
  readonly head: Linear | Sequential;
  readonly config: MUSIQConfig;

  constructor(config: MUSIQConfig, init: Init) {
    super();
    const { patchSize, hidden, classes } = config;
    this.patchEmbedding = new PatchEmbedding(patchSize, hidden, init);
    this.transformerEncoder = new Encoder(config, init);
    const last = new Linear(hidden, classes, {}, init);
    this.head = classes === 1 ? last : new Sequential(last, (x) => softmax(x, -1));
    this.config = config;
  }

  override fieldNames(): FieldNames {
    return { patchEmbedding: "" };
  }

  /**
   * Scores `(b)` of images `(b, 3, h, w)`, RGB in [0, 1].
   *
   * @param watch sees what enters the transformer (`tokens`), what each block gives (`block0` …) and the class token at the end (`cls`)
   */
  forward(image: Tensor, watch?: Watch): Tensor {
    checkImages("MUSIQ", 1, image);
    const grids = this.grids(image);
    const tokens = grids.map(({ patches }) => this.embed(patches));
    const cells = grids.flatMap(({ rows, columns }) => [...musiqCells(rows, columns, this.config.grid)]);
    const scales = grids.flatMap(({ rows, columns }, scale) => new Array<number>(rows * columns).fill(scale));
    const { device } = image;
    const index = (values: number[]): Tensor => device.tensor(Int32Array.from(values));
    const cls = this.transformerEncoder.forward(cat(tokens, 1), index(cells), index(scales), watch);
    const answers = this.head.forward(cls); // (b, classes)
    const { classes } = this.config;
    return sum(classes === 1 ? answers : mul(answers, add(device.arange(classes), 1)), { dim: 1 });
  }

  /** The image in all the sizes that are looked at, itself last; values in [−1, 1]. */
  scales(image: Tensor): Tensor[] {
    return musiqScales(mul(sub(image, 0.5), 2), this.config.longerSides);
  }

  /** The patches of all sizes. */
  grids(image: Tensor): PatchGrid[] {
    return this.scales(image).map((scale) => musiqPatches(scale, this.config.patchSize));
  }

  /** Tokens of patches: `(b, n, 3, p, p)` → `(b, n, c)`. */
  embed(patches: Tensor): Tensor {
    const [b = 0, n = 0, ...patch] = patches.shape;
    return reshape(this.patchEmbedding.forward(reshape(patches, [b * n, ...patch])), [b, n, -1]);
  }
}
