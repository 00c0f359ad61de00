import { Conv2d, type Init, LayerNorm, Linear, Mlp, Module, normal, parameter } from "@deplsr/nn";
import { add, cat, chunk, expand, flatten, narrow, permute, type Tensor, transient } from "@deplsr/tensor";
import { attend } from "./attention.ts";
import type { Watch } from "./network.ts";

/** Sizes of a vision transformer. */
export interface ViTConfig {
  readonly imageSize: number;
  readonly patchSize: number;
  readonly width: number;
  readonly heads: number;
  /** Hidden width of the feed-forward layers over `width`. */
  readonly mlpRatio: number;
}

class Attention extends Module {
  readonly qkv: Linear;
  readonly proj: Linear;
  readonly heads: number;

  constructor(width: number, heads: number, init: Init) {
    super();
    this.qkv = new Linear(width, 3 * width, {}, init);
    this.proj = new Linear(width, width, {}, init);
    this.heads = heads;
  }

  forward(x: Tensor): Tensor {
    const [q, k, v] = chunk(this.qkv.forward(x), 3, -1) as [Tensor, Tensor, Tensor];
    return this.proj.forward(attend(q, k, v, this.heads));
  }
}

class Block extends Module {
  readonly norm1: LayerNorm;
  readonly attn: Attention;
  readonly norm2: LayerNorm;
  readonly mlp: Mlp;

  constructor({ width, heads, mlpRatio }: ViTConfig, init: Init) {
    super();
    this.norm1 = new LayerNorm(width, { eps: 1e-6 }, init);
    this.attn = new Attention(width, heads, init);
    this.norm2 = new LayerNorm(width, { eps: 1e-6 }, init);
    this.mlp = new Mlp({ input: width, hidden: width * mlpRatio }, undefined, init);
  }

  forward(x: Tensor): Tensor {
    const y = add(x, this.attn.forward(this.norm1.forward(x)));
    return add(y, this.mlp.forward(this.norm2.forward(y)));
  }
}

class PatchEmbed extends Module {
  readonly proj: Conv2d;

  constructor({ patchSize, width }: ViTConfig, init: Init) {
    super();
    this.proj = new Conv2d(3, width, patchSize, { stride: patchSize }, init);
  }
}

/** A vision transformer up to its last tapped block, under timm's names. @see https://arxiv.org/abs/2010.11929 */
export class TappedViT extends Module {
  /** (1, 1, c) */
  readonly clsToken: Tensor;
  /** (1, 1 + patches, c) */
  readonly posEmbed: Tensor;
  readonly patchEmbed: PatchEmbed;
  readonly blocks: readonly Block[];
  readonly taps: readonly number[];

  /** @param taps the blocks whose results are wanted, counted from 0 */
  constructor(config: ViTConfig, taps: readonly number[], init: Init) {
    super();
    const { width, imageSize, patchSize } = config;
    this.clsToken = parameter(init.device.zeros([1, 1, width]));
    this.posEmbed = parameter(normal([1, 1 + (imageSize / patchSize) ** 2, width], 0.02, init));
    this.patchEmbed = new PatchEmbed(config, init);
    this.blocks = Array.from({ length: Math.max(...taps) + 1 }, () => new Block(config, init));
    this.taps = taps;
  }

  /**
   * Images `(b, 3, s, s)` to what the tapped blocks give for the patches, side by side: `(b, patches, taps · c)`.
   *
   * @param watch sees what each block gives, `(b, 1 + patches, c)`, as `vit.block0` …
   */
  forward(image: Tensor, watch?: Watch): Tensor {
    const patches = permute(flatten(this.patchEmbed.proj.forward(image), 2), [0, 2, 1]); // (b, n, c)
    const [b = 0, n = 0, c = 0] = patches.shape;
    let x = add(cat([expand(this.clsToken, [b, 1, c]), patches], 1), this.posEmbed);
    const tapped: Tensor[] = [];
    this.blocks.forEach((block, index) => {
      const input = x;
      x = transient(() => block.forward(input));
      watch?.(`vit.block${index}`, x);
      if (this.taps.includes(index)) tapped.push(narrow(x, 1, 1, n));
    });
    return cat(tapped, 2);
  }
}
