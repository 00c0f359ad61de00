import { Conv2d, checkpointPart, type FieldNames, type Init, inference, type Mode, Module, replaced } from "@deplsr/nn";
import { add, leakyRelu, permute, reshape, type Tensor, transient } from "@deplsr/tensor";
import { DATBlock } from "./block.ts";
import type { DATConfig } from "./config.ts";
import { BOTTLENECK_NAMES } from "./keys.ts";
import type { Size } from "./window.ts";
import type { WindowTables } from "./window-tables.ts";

/** `3conv`: 3×3 to a quarter of the channels, 1×1, 3×3 back, with leaky ReLUs of slope 0.2 between them. */
export class Bottleneck extends Module {
  readonly reduce: Conv2d;
  readonly middle: Conv2d;
  readonly expand: Conv2d;

  constructor(channels: number, init: Init) {
    super();
    const narrow = Math.floor(channels / 4);
    this.reduce = new Conv2d(channels, narrow, 3, { padding: 1 }, init);
    this.middle = new Conv2d(narrow, narrow, 1, {}, init);
    this.expand = new Conv2d(narrow, channels, 3, { padding: 1 }, init);
  }

  override fieldNames(): FieldNames {
    return BOTTLENECK_NAMES;
  }

  /** `(b, c, h, w)` → the same shape. */
  forward(x: Tensor): Tensor {
    const narrow = this.middle.forward(leakyRelu(this.reduce.forward(x), 0.2));
    return this.expand.forward(leakyRelu(narrow, 0.2));
  }
}

/** The convolution that closes a residual group or the body. */
export function residualConvolution(config: DATConfig, init: Init): Conv2d | Bottleneck {
  const c = config.embedDim;
  return config.resiConnection === "1conv" ? new Conv2d(c, c, 3, { padding: 1 }, init) : new Bottleneck(c, init);
}

/** Image `(b, c, h, w)` → tokens `(b, h·w, c)`, a view. */
export function imageToTokens(image: Tensor): Tensor {
  const [b, c, h, w] = image.shape as [number, number, number, number];
  return permute(reshape(image, [b, c, h * w]), [0, 2, 1]);
}

/** Tokens `(b, h·w, c)` → image `(b, c, h, w)`, a view. */
export function tokensToImage(tokens: Tensor, [h, w]: Size): Tensor {
  const [b, , c] = tokens.shape as [number, number, number];
  return reshape(permute(tokens, [0, 2, 1]), [b, c, h, w]);
}

/** Blocks in a row and a convolution, added to the input. */
export class ResidualGroup extends Module {
  readonly blocks: readonly DATBlock[];
  readonly conv: Conv2d | Bottleneck;

  /** @param dropPaths the rate of each of the group's blocks */
  constructor(config: DATConfig, group: number, dropPaths: readonly number[], tables: WindowTables, init: Init) {
    super();
    this.blocks = dropPaths.map((dropPath, block) => new DATBlock(config, { group, block, dropPath }, tables, init));
    this.conv = residualConvolution(config, init);
  }

  /**
   * Tokens `(b, n, c)` of an image of `size` → the same shape.
   * @param options `checkpoint`: recompute each block in the backward pass instead of storing its activations
   */
  forward(tokens: Tensor, size: Size, mode: Mode = inference, { checkpoint = false } = {}): Tensor {
    const run = (block: DATBlock, x: Tensor): Tensor =>
      checkpoint
        ? checkpointPart(mode, (mode, x) => block.forward(x!, size, mode), x)
        : transient(() => block.forward(x, size, mode));
    const [first, ...rest] = this.blocks;
    let x = run(first!, tokens);
    for (const block of rest) x = replaced(x, run(block, x));
    return add(tokens, imageToTokens(this.conv.forward(tokensToImage(x, size))));
  }
}
