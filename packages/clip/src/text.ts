import { Embedding, type Init, LayerNorm, Module, normal, parameter } from "@deplsr/nn";
import {
  add,
  argmax,
  assign,
  type Device,
  flatten,
  indexSelect,
  keep,
  matmul,
  mul,
  narrow,
  reshape,
  ShapeError,
  scope,
  type Tensor,
} from "@deplsr/tensor";
import { Transformer, type TransformerOptions } from "./block.ts";
import type { CLIPConfig, TextConfig } from "./config.ts";

/** The table (vocabSize) i32 of the rows of tokens, -1 for those that have none. */
function rowsOf(tokens: readonly number[], vocabSize: number, device: Device): Tensor {
  const rows = new Int32Array(vocabSize).fill(-1);
  rows[0] = 0; // what pads texts, which no feature sees
  for (const [row, id] of tokens.entries()) rows[id] = row;
  return keep(device.tensor(rows, [vocabSize], { dtype: "i32" }));
}

/** CLIP's text tower: a causal transformer whose state at the end token is the feature, `ids (b, n) i32` → `(b, embedDim)`. */
export class TextTransformer extends Module {
  /** (contextLength, c) */
  readonly positionalEmbedding: Tensor;
  /** (c, embedDim) */
  readonly textProjection: Tensor;
  readonly transformer: Transformer;
  readonly tokenEmbedding: Embedding;
  readonly lnFinal: LayerNorm;
  readonly config: TextConfig;
  /** (vocabSize) i32: the row of a token in the table, -1 of one that is not there; null where all are. */
  readonly #rows: Tensor | null;

  constructor({ text, embedDim, quickGelu }: Pick<CLIPConfig, "text" | "embedDim" | "quickGelu">, init: Init) {
    super();
    const { width, contextLength, vocabSize } = text;
    this.positionalEmbedding = parameter(normal([contextLength, width], 0.01, init));
    this.textProjection = parameter(normal([width, embedDim], width ** -0.5, init));
    this.transformer = new Transformer({ ...text, quickGelu }, init);
    this.tokenEmbedding = new Embedding(text.tokens?.length ?? vocabSize, width, init);
    this.#rows = text.tokens ? rowsOf(text.tokens, vocabSize, init.device) : null;
    this.lnFinal = new LayerNorm(width, {}, init);
    this.config = text;
    this.startAsClip(init);
  }

  /**
   * Features before any normalisation. A text's row is start token, text, end token, padding; n may be smaller than the
   * context length, since nothing after the end token reaches the feature. A token outside of `config.tokens` is an error at the next
   * read; a `Tokenizer` that knows them refuses it by name.
   */
  forward(ids: Tensor, options: Omit<TransformerOptions, "mask"> = {}): Tensor {
    return this.pool(this.transformer.forward(this.embed(ids), { ...options, mask: "causal" }), ids);
  }

  /** Head-averaged attention map of each block, `(b, n, n)`; row i is what token i looks at, itself and those before it. */
  attentionMaps(ids: Tensor): Tensor[] {
    return this.transformer.attentionMaps(this.embed(ids), { mask: "causal" });
  }

  /** Ids `(b, n) i32` to the tokens that enter block 0: `(b, n, c)`. */
  embed(ids: Tensor): Tensor {
    const { contextLength } = this.config;
    const n = ids.shape[1] ?? 0;
    if (ids.rank !== 2 || n < 1 || n > contextLength) {
      throw new ShapeError(
        `TextTransformer: ids [${ids.shape.join(", ")}] must be (b, n) with n up to ${contextLength}`,
      );
    }
    const positions = n === contextLength ? this.positionalEmbedding : narrow(this.positionalEmbedding, 0, 0, n);
    const rows = this.#rows ? reshape(indexSelect(this.#rows, 0, flatten(ids)), ids.shape) : ids;
    return add(this.tokenEmbedding.forward(rows), positions);
  }

  override dispose(): void {
    super.dispose();
    this.#rows?.dispose();
  }

  /** The state at the end token, which has the largest id, to features: `(b, n, c)` → `(b, embedDim)`. */
  pool(x: Tensor, ids: Tensor): Tensor {
    const [b = 0, n = 0] = ids.shape;
    const rowStarts = mul(ids.device.arange(b, { dtype: "i32" }), n);
    const atEnd = indexSelect(flatten(x, 0, 1), 0, add(rowStarts, argmax(ids, { dim: 1 }))); // (b, c)
    return matmul(this.lnFinal.forward(atEnd), this.textProjection);
  }

  /** The start values of CLIP's text tower, smaller than the framework's for deep stacks. */
  private startAsClip(init: Init): void {
    if (init.blank) return;
    const { width, layers } = this.config;
    const start = (tensor: Tensor, std: number): void => scope(() => assign(tensor, normal(tensor.shape, std, init)));
    const residual = width ** -0.5 * (2 * layers) ** -0.5;
    start(this.tokenEmbedding.weight, 0.02);
    for (const { attn, mlp } of this.transformer.resblocks) {
      start(attn.inProjWeight, width ** -0.5);
      start(attn.outProj.weight, residual);
      start(mlp.cFc.weight, (2 * width) ** -0.5);
      start(mlp.cProj.weight, residual);
    }
  }
}
