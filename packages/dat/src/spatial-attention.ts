import { Dropout, type Init, inference, type Linear, type Mode, Module } from "@deplsr/nn";
import {
  type AttentionOptions,
  attention,
  attentionWeights,
  cat,
  catEach,
  chunk,
  matmul,
  narrow,
  pad,
  reshape,
  roll,
  slice,
  squeeze,
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

  /** Queries, keys and values `(b, 3, g·d, h, w)` of a padded size → `(b, g·d, h, w)`. With `mask (windows, 1, n, n)` the windows are shifted. */
  forward(qkv: Tensor, table: WindowTable, mask: Tensor | null, mode: Mode = inference): Tensor {
    const [b, , , h, w] = qkv.shape as [number, number, number, number, number];
    const [hs, ws] = table.window;
    const [down, right] = table.shift;
    const n = hs * ws;
    const shifted = mask ? roll(qkv, [-down, -right], [3, 4]) : qkv;
    const windows = partition(shifted, table.window, this.#heads); // of each (b, windows, g, n, d)
    const bias = this.pos.forward(table, mode);
    const bytes = b * this.#heads * n * n * Float32Array.BYTES_PER_ELEMENT;
    const ranges = windowRanges((h * w) / n, bytes, qkv.device.info.maxTensorBytes);
    const attend = ([start, length]: [number, number]): Tensor => {
      const part = mask && narrow(mask, 0, start, length);
      const options = { scale: this.#scale, ...(bias && { bias }), ...(part && { mask: part }) };
      return this.#attend(windows.map((x) => narrow(x, 1, start, length)) as [Tensor, Tensor, Tensor], options, mode);
    };
    // All at once where there is room: then what attends writes where the image is made.
    const [all] = ranges;
    const attended =
      ranges.length === 1 && all
        ? attend(all)
        : cat(
            ranges.map((range) => transient(() => attend(range))),
            1,
          );
    const image = merge(attended, table.window, [h, w]);
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
    const qkv = reshape(toChannels(this.qkv, tokens), [b, 3, c, ...size]);
    const values = squeeze(narrow(qkv, 1, 2, 1), 1);
    const attended = reshape(this.#windows(qkv, size, mode), [b, c, n]);
    const convolved = this.dwconv.forward(values, mode); // (b, c, n)
    const channelMap = this.channelInteraction.forward(convolved, mode); // (b, c, 1)
    const spatialMap = this.spatialInteraction.forward(attended, size, mode); // (b, 1, n)
    const mixed = blend(attended, channelMap, convolved, spatialMap);
    return this.#drop.forward(toTokens(this.proj, mixed), mode);
  }

  /** Queries, keys and values `(b, 3, c, h, w)` → both branches side by side, `(b, c, h, w)`. */
  #windows(qkv: Tensor, size: Size, mode: Mode): Tensor {
    const padded = paddedSize(size, this.#tables.split);
    const [below, right] = [padded[0] - size[0], padded[1] - size[1]];
    const exact = below + right === 0;
    const masks = this.shifted ? this.#tables.masks(padded) : [null, null];
    // Zeros after the projection: padded tokens are zero keys that take part unmasked, as in the reference.
    const none: readonly [number, number] = [0, 0];
    const grown = exact ? qkv : pad(qkv, [none, none, none, [0, below], [0, right]]);
    const halves = chunk(grown, 2, 2);
    const branches = this.attns.map((attn, i) => (): Tensor => {
      return attn.forward(halves[i]!, this.#tables.branches[i]!, masks[i]!, mode);
    });
    const whole = catEach(branches, 1);
    return exact ? whole : slice(whole, [null, null, [0, size[0]], [0, size[1]]]);
  }
}
