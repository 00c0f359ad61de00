import { Conv2d, constant, type Init, LayerNorm, Linear, Mlp, Module, normal, parameter } from "@deplsr/nn";
import {
  add,
  attention,
  chunk,
  embedding,
  mul,
  permute,
  relu,
  reshape,
  roll,
  type Tensor,
  transient,
} from "@deplsr/tensor";
import type { Watch } from "./network.ts";

/** Sizes of a Swin transformer over maps of one size. */
export interface SwinConfig {
  readonly width: number;
  /** Rows and columns of the map; a multiple of the window. */
  readonly grid: number;
  readonly window: number;
  /** Blocks of each layer, every second one with shifted windows. */
  readonly depths: readonly number[];
  /** Heads of each layer. */
  readonly heads: readonly number[];
  readonly mlpHidden: number;
  /** Factor on each layer's residual branch. */
  readonly scale: number;
}

/** For every pair of pixels of a window the row of the bias table: `(Δy + w − 1)·(2w − 1) + Δx + w − 1`, Δ = query − key. */
export function relativePositions(window: number): Int32Array {
  const area = window ** 2;
  return Int32Array.from({ length: area ** 2 }, (_, i) => {
    const [query, key] = [Math.floor(i / area), i % area];
    const dy = Math.floor(query / window) - Math.floor(key / window);
    const dx = (query % window) - (key % window);
    return (dy + window - 1) * (2 * window - 1) + dx + window - 1;
  });
}

/** How far the windows of every second block are moved. */
function shiftOf(window: number): number {
  return Math.floor(window / 2);
}

/** What is added to the scores of shifted windows, `(windows, w², w²)`: −100 between pixels that the shift brought together, else 0. */
export function shiftMask(grid: number, window: number): Float32Array {
  const [across, area] = [grid / window, window ** 2];
  const band = (at: number): number => (at < grid - window ? 0 : at < grid - shiftOf(window) ? 1 : 2);
  const region = (tile: number, pixel: number): number => {
    const y = Math.floor(tile / across) * window + Math.floor(pixel / window);
    const x = (tile % across) * window + (pixel % window);
    return 3 * band(y) + band(x);
  };
  return Float32Array.from({ length: across ** 2 * area ** 2 }, (_, i) => {
    const tile = Math.floor(i / area ** 2);
    return region(tile, Math.floor(i / area) % area) === region(tile, i % area) ? 0 : -100;
  });
}

/** Attention among the pixels of each window, with a learned bias for their distance. */
class WindowAttention extends Module {
  /** ((2w − 1)², heads) */
  readonly relativePositionBiasTable: Tensor;
  readonly qkv: Linear;
  readonly proj: Linear;
  readonly heads: number;
  private readonly positions: Tensor;

  constructor(width: number, window: number, heads: number, init: Init) {
    super();
    this.relativePositionBiasTable = parameter(normal([(2 * window - 1) ** 2, heads], 0.02, init));
    this.qkv = new Linear(width, 3 * width, {}, init);
    this.proj = new Linear(width, width, {}, init);
    this.heads = heads;
    this.positions = constant(init.device.tensor(relativePositions(window), [window ** 2, window ** 2]));
  }

  /** `x (b, windows, w², c)` → the same; `mask (windows, w², w²)` is added to the scores. */
  forward(x: Tensor, mask: Tensor | null): Tensor {
    const [b = 0, windows = 0, area = 0, c = 0] = x.shape;
    const perHead = (part: Tensor): Tensor =>
      permute(reshape(part, [b, windows, area, this.heads, c / this.heads]), [0, 1, 3, 2, 4]);
    const [q, k, v] = chunk(this.qkv.forward(x), 3, -1).map(perHead) as [Tensor, Tensor, Tensor]; // (b, windows, heads, w², d)
    const bias = permute(embedding(this.relativePositionBiasTable, this.positions), [2, 0, 1]); // (heads, w², w²)
    const hidden = mask ? { mask: reshape(mask, [windows, 1, area, area]) } : {};
    const y = permute(attention(q, k, v, { bias, ...hidden }), [0, 1, 3, 2, 4]);
    return this.proj.forward(reshape(y, x.shape));
  }
}

/** Window attention and feed-forward layers on residual branches, over maps `(b, h, w, c)`. */
class SwinBlock extends Module {
  readonly norm1: LayerNorm;
  readonly attn: WindowAttention;
  readonly norm2: LayerNorm;
  readonly mlp: Mlp;
  readonly window: number;
  private readonly mask: Tensor | null;

  constructor({ width, grid, window, mlpHidden }: SwinConfig, heads: number, shifted: boolean, init: Init) {
    super();
    this.norm1 = new LayerNorm(width, {}, init);
    this.attn = new WindowAttention(width, window, heads, init);
    this.norm2 = new LayerNorm(width, {}, init);
    this.mlp = new Mlp({ input: width, hidden: mlpHidden }, undefined, init);
    this.window = window;
    const shape = [(grid / window) ** 2, window ** 2, window ** 2];
    this.mask = shifted ? constant(init.device.tensor(shiftMask(grid, window), shape)) : null;
  }

  forward(x: Tensor): Tensor {
    const shift = this.mask ? shiftOf(this.window) : 0;
    const [b = 0, h = 0, w = 0, c = 0] = x.shape;
    const [side, rows, columns] = [this.window, h / this.window, w / this.window];
    const turned = roll(this.norm1.forward(x), [-shift, -shift], [1, 2]);
    const tiles = permute(reshape(turned, [b, rows, side, columns, side, c]), [0, 1, 3, 2, 4, 5]);
    const attended = this.attn.forward(reshape(tiles, [b, rows * columns, side * side, c]), this.mask);
    const map = permute(reshape(attended, [b, rows, columns, side, side, c]), [0, 1, 3, 2, 4, 5]);
    const y = add(x, roll(reshape(map, [b, h, w, c]), [shift, shift], [1, 2]));
    return add(y, this.mlp.forward(this.norm2.forward(y)));
  }
}

class SwinLayer extends Module {
  readonly conv: Conv2d;
  readonly blocks: readonly SwinBlock[];
  readonly scale: number;

  constructor(config: SwinConfig, layer: number, init: Init) {
    super();
    const [depth, heads] = [config.depths[layer]!, config.heads[layer]!];
    this.conv = new Conv2d(config.width, config.width, 3, { padding: 1 }, init);
    this.blocks = Array.from({ length: depth }, (_, i) => new SwinBlock(config, heads, i % 2 === 1, init));
    this.scale = config.scale;
  }

  /** `x (b, c, h, w)` → the same */
  forward(x: Tensor, watch?: Watch): Tensor {
    let tokens = permute(x, [0, 2, 3, 1]);
    this.blocks.forEach((block, index) => {
      const input = tokens;
      tokens = transient(() => block.forward(input));
      watch?.(`block${index}`, tokens);
    });
    return add(x, mul(relu(this.conv.forward(permute(tokens, [0, 3, 1, 2]))), this.scale));
  }
}

/** Swin transformer whose layers end in a convolution: `(b, c, h, w)` → the same. @see https://arxiv.org/abs/2103.14030 */
export class SwinTransformer extends Module {
  readonly layers: readonly SwinLayer[];

  constructor(config: SwinConfig, init: Init) {
    super();
    this.layers = config.depths.map((_, layer) => new SwinLayer(config, layer, init));
  }

  /** @param watch sees what the blocks of the first layer give, `(b, h, w, c)`, as `block0` … */
  forward(x: Tensor, watch?: Watch): Tensor {
    return this.layers.reduce((map, layer, index) => layer.forward(map, index === 0 ? watch : undefined), x);
  }
}
