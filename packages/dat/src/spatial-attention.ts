import { Dropout, type Init, inference, type Linear, type Mode, Module } from "@deplsr/nn";
import {
  type AttentionOptions,
  attention,
  attentionWeights,
  cat,
  chunk,
  matmul,
  narrow,
  pad,
  reshape,
  roll,
  slice,
  split,
  type Tensor,
  transient,
} from "@deplsr/tensor";
import type { DATConfig } from "./config.ts";
import { blend, ChannelInteraction, DepthwiseBranch, SpatialInteraction } from "./interaction.ts";
import { makeLinear, toChannels, toTokens } from "./linear.ts";
import { merge, partition } from "./partition.ts";
import { PositionBias } from "./position-bias.ts";
import { paddedSize, type Size } from "./window.ts";
import type { WindowTable, WindowTables } from "./window-tables.ts";

/** Queries, keys and values: three tensors of one shape. */
export type Qkv = readonly [q: Tensor, k: Tensor, v: Tensor];

/** Attention inside the windows of one shape, for half of the channels. g heads of size d. */
export class WindowAttention extends Module {
  readonly pos: PositionBias;
  readonly #heads: number;
  readonly #scale: number;
  readonly #drop: Dropout;

  constructor(config: DATConfig, heads: number, init: Init) {
    super();
    this.pos = new PositionBias(config.embedDim, heads, config.layerNormEps, init);
    this.#heads = heads;
    this.#scale = config.qkScale ?? (config.embedDim / 2 / heads) ** -0.5;
    this.#drop = new Dropout(config.attnDropRate);
  }

  /** `q, k, v (b, g·d, h, w)` of a padded size → the same shape. With `mask (windows, 1, n, n)` the windows are shifted. */
  forward(qkv: Qkv, table: WindowTable, mask: Tensor | null, mode: Mode = inference): Tensor {
    const [b, , h, w] = qkv[0].shape as [number, number, number, number];
    const [hs, ws] = table.window;
    const [down, right] = table.shift;
    const n = hs * ws;
    const [qw, kw, vw] = qkv.map((image) => {
      const shifted = mask ? roll(image, [-down, -right], [2, 3]) : image;
      return partition(shifted, table.window, this.#heads);
    }) as [Tensor, Tensor, Tensor]; // (b, windows, g, n, d)
    const bias = this.pos.forward(table, mode);
    const bytes = b * this.#heads * n * n * Float32Array.BYTES_PER_ELEMENT;
    const ranges = windowRanges((h * w) / n, bytes, qkv[0].device.info.maxTensorBytes);
    const attended = ranges.map(([start, length]) => {
      const part = mask && narrow(mask, 0, start, length);
      const options = { scale: this.#scale, ...(bias && { bias }), ...(part && { mask: part }) };
      const of = (x: Tensor): Tensor => narrow(x, 1, start, length);
      return transient(() => this.#attend([of(qw), of(kw), of(vw)], options, mode));
    });
    const image = merge(cat(attended, 1), table.window, [h, w]);
    return mask ? roll(image, [down, right], [2, 3]) : image;
  }

  /** q, k, v `(b, windows, g, n, d)` → the same shape. */
  #attend([q, k, v]: Qkv, options: AttentionOptions, mode: Mode): Tensor {
    if (!mode.training || this.#drop.p === 0) return attention(q, k, v, options);
    return matmul(this.#drop.forward(attentionWeights(q, k, options), mode), v);
  }
}

/**
 * The pieces [start, length] of a row of windows whose attention maps, (b, length, g, n, n), stay within the device's largest
 * tensor: as few as possible, of equal length but the last.
 */
export function windowRanges(windows: number, bytesPerWindow: number, maxTensorBytes: number): [number, number][] {
  const most = Math.max(1, Math.floor(maxTensorBytes / bytesPerWindow));
  const length = Math.ceil(windows / Math.ceil(windows / most));
  return Array.from({ length: Math.ceil(windows / length) }, (_, i) => [
    i * length,
    Math.min(length, windows - i * length),
  ]);
}

/**
 * Adaptive spatial attention: window attention of two shapes, each for half of the channels, beside a convolution of the
 * values, and their interaction.
 * @see https://arxiv.org/abs/2308.03364, figure 2
 */
export class SpatialAttention extends Module {
  readonly qkv: Linear;
  readonly proj: Linear;
  readonly attns: readonly [WindowAttention, WindowAttention];
  readonly dwconv: DepthwiseBranch;
  readonly channelInteraction: ChannelInteraction;
  readonly spatialInteraction: SpatialInteraction;
  /** Whether the windows are shifted by half of their size. */
  readonly shifted: boolean;
  readonly #tables: WindowTables;
  readonly #drop: Dropout;

  constructor(config: DATConfig, heads: number, shifted: boolean, tables: WindowTables, init: Init) {
    super();
    const c = config.embedDim;
    this.qkv = makeLinear(c, 3 * c, config.qkvBias, init);
    this.proj = makeLinear(c, c, true, init);
    this.attns = [new WindowAttention(config, heads / 2, init), new WindowAttention(config, heads / 2, init)];
    this.dwconv = new DepthwiseBranch(c, init);
    this.channelInteraction = new ChannelInteraction(c, init);
    this.spatialInteraction = new SpatialInteraction(c, init);
    this.shifted = shifted;
    this.#tables = tables;
    this.#drop = new Dropout(config.dropRate);
  }

  /** Tokens `(b, n, c)` of an image of `size` → the same shape. */
  forward(tokens: Tensor, size: Size, mode: Mode = inference): Tensor {
    const [b, n, c] = tokens.shape as [number, number, number];
    const qkv = reshape(toChannels(this.qkv, tokens), [b, 3 * c, ...size]);
    const [queriesAndKeys, values] = split(qkv, [2 * c, c], 1) as [Tensor, Tensor];
    const attended = reshape(this.#windows(queriesAndKeys, values, size, mode), [b, c, n]);
    const convolved = this.dwconv.forward(values, mode); // (b, c, n)
    const channelMap = this.channelInteraction.forward(convolved, mode); // (b, c, 1)
    const spatialMap = this.spatialInteraction.forward(attended, size, mode); // (b, 1, n)
    const mixed = blend(attended, channelMap, convolved, spatialMap);
    return this.#drop.forward(toTokens(this.proj, mixed), mode);
  }

  /** Queries and keys `(b, 2c, h, w)`, values `(b, c, h, w)` → both branches side by side, `(b, c, h, w)`. */
  #windows(queriesAndKeys: Tensor, values: Tensor, size: Size, mode: Mode): Tensor {
    const padded = paddedSize(size, this.#tables.split);
    const [below, right] = [padded[0] - size[0], padded[1] - size[1]];
    const exact = below + right === 0;
    const masks = this.shifted ? this.#tables.masks(padded) : null;
    // Zeros after the projection: padded tokens are zero keys that take part unmasked, as in the reference.
    const grow = (x: Tensor): Tensor =>
      exact
        ? x
        : pad(x, [
            [0, 0],
            [0, 0],
            [0, below],
            [0, right],
          ]);
    const [q0, q1, k0, k1] = chunk(grow(queriesAndKeys), 4, 1) as [Tensor, Tensor, Tensor, Tensor];
    const [v0, v1] = chunk(grow(values), 2, 1) as [Tensor, Tensor];
    const [first, second] = this.attns;
    const [table0, table1] = this.#tables.branches;
    const [mask0, mask1] = masks ?? [null, null];
    const whole = cat(
      [
        transient(() => first.forward([q0, k0, v0], table0, mask0, mode)),
        transient(() => second.forward([q1, k1, v1], table1, mask1, mode)),
      ],
      1,
    );
    return exact ? whole : slice(whole, [null, null, [0, size[0]], [0, size[1]]]);
  }
}
