import {
  Conv2d,
  constant,
  type FieldNames,
  type Init,
  inference,
  LayerNorm,
  type LoadOptions,
  type LoadReport,
  type Mode,
  Module,
  replaced,
  type StateDict,
  type StateEntry,
} from "@deplsr/nn";
import { add, E, interpolate, pointwise, reshape, ShapeError, type Tensor, transient } from "@deplsr/tensor";
import { checkConfig, type DATConfig, dropPathRates } from "./config.ts";
import { type Bottleneck, imageToTokens, ResidualGroup, residualConvolution, tokensToImage } from "./group.ts";
import { DAT_NAMES } from "./keys.ts";
import { datState } from "./state.ts";
import { type Head, makeHead } from "./upsample.ts";
import type { Size } from "./window.ts";
import { WindowTables } from "./window-tables.ts";

/** Mean of the reference's training images, RGB in [0, 1]. Part of the method, not of its checkpoints. */
const RGB_MEAN = [0.4488, 0.4371, 0.404];

/** Something that changes the features between the residual groups, for example by what is known about the image. */
export interface Modulator {
  /** The tokens `(b, n, c)` that enter residual group `group` → tokens of the same shape. Called once a group, in order. */
  modulate(group: number, tokens: Tensor): Tensor;
}

/** How a DAT runs: in inference mode and unmodulated unless told otherwise. */
export interface DATForward {
  readonly mode?: Mode;
  readonly modulator?: Modulator | null;
  /** Recompute each block in the backward pass instead of storing its activations: less memory, a third more time. */
  readonly checkpoint?: boolean;
  /**
   * Shown the features `(b, c, h, w)` on their way: after the first convolution, after each residual group (its index), and after the body with
   * the shallow features added. They are freed with the pass: what is made of them and wanted later needs `keep`.
   */
  readonly onFeatures?: (features: Tensor, after: FeatureStage) => void;
}

/** Behind what features are looked at. */
export type FeatureStage = "convFirst" | number | "body";

/** `(x - mean)·range`. */
const enter = pointwise("enter", (x, mean, range) => E.mul(E.sub(x, mean), range));
/** `y/range + base`. */
const leave = pointwise("leave", (y, base, range) => E.add(E.div(y, range), base));

/**
 * Dual aggregation transformer for image super-resolution.
 * @see https://arxiv.org/abs/2308.03364
 */
export class DAT extends Module {
  readonly config: DATConfig;
  readonly convFirst: Conv2d;
  readonly beforeGroups: LayerNorm;
  readonly layers: readonly ResidualGroup[];
  readonly norm: LayerNorm;
  readonly convAfterBody: Conv2d | Bottleneck;
  readonly head: Head;
  /** (1, inChannels, 1, 1) */
  readonly mean: Tensor;
  /** (1, 1, 1, 1) */
  readonly range: Tensor;
  readonly #tables: WindowTables;

  /** @throws Error naming the field of the configuration that does not fit */
  constructor(config: DATConfig, init: Init) {
    super();
    this.config = checkConfig(config);
    const { inChannels, embedDim, layerNormEps: eps } = config;
    this.#tables = new WindowTables(init.device, config.splitSize);
    this.mean = constant(
      init.device.tensor(inChannels === 3 ? RGB_MEAN : new Array<number>(inChannels).fill(0), [1, inChannels, 1, 1]),
    );
    this.range = constant(init.device.full([1, 1, 1, 1], config.imgRange));
    this.convFirst = new Conv2d(inChannels, embedDim, 3, { padding: 1 }, init);
    this.beforeGroups = new LayerNorm(embedDim, { eps }, init);
    const rates = dropPathRates(config);
    this.layers = config.depth.map(
      (depth, group) => new ResidualGroup(config, group, rates.splice(0, depth), this.#tables, init),
    );
    this.norm = new LayerNorm(embedDim, { eps }, init);
    this.convAfterBody = residualConvolution(config, init);
    this.head = makeHead(config, init);
  }

  override fieldNames(): FieldNames {
    return DAT_NAMES;
  }

  /**
   * Images `(b, inChannels, h, w)` in [0, 1] → `(b, inChannels, s·h, s·w)`, s the scale. Any size.
   * @throws ShapeError when `x` has other axes or another number of channels
   */
  forward(x: Tensor, { mode = inference, modulator = null, checkpoint = false, onFeatures }: DATForward = {}): Tensor {
    const size = this.#checkImages(x);
    return transient(() => {
      const shallow = this.shallow(x); // (b, c, h, w)
      onFeatures?.(shallow, "convFirst");
      let tokens = this.beforeGroups.forward(imageToTokens(shallow)); // (b, n, c)
      for (const [group, layer] of this.layers.entries()) {
        if (modulator) tokens = replaced(tokens, modulator.modulate(group, tokens));
        tokens = replaced(
          tokens,
          transient(() => layer.forward(tokens, size, mode, { checkpoint })),
        );
        onFeatures?.(tokensToImage(tokens, size), group);
      }
      const deep = transient(() => {
        const image = tokensToImage(this.norm.forward(tokens), size);
        return add(this.convAfterBody.forward(image), shallow);
      });
      onFeatures?.(deep, "body");
      return leave(this.head.forward(deep), this.#base(x), this.range);
    });
  }

  /** What the head's output is added to. */
  #base(x: Tensor): Tensor {
    const { globalResidual, upscale } = this.config;
    if (globalResidual === "none") return this.mean;
    return interpolate(x, { scaleFactor: upscale, mode: "bicubic", cubicA: -0.5 });
  }

  /** The first convolution of centred images: `(b, inChannels, h, w)` → `(b, c, h, w)`. */
  shallow(x: Tensor): Tensor {
    return this.convFirst.forward(enter(x, this.mean, this.range));
  }

  /**
   * What the reference's checkpoints hold beside `stateDict()`: offsets, position indices and shift masks, by name. They
   * follow from the configuration; a file that is to be read by the reference needs them.
   */
  derivedBuffers(): Map<string, Tensor> {
    const { imgSize } = this.config;
    const found = new Map<string, Tensor>();
    for (const { name, role, shape } of datState(this.config)) {
      if (role === "derived") found.set(name, reshape(this.#tables.derived(name, [imgSize, imgSize]), shape));
    }
    return found;
  }

  /**
   * `entries` without the derived buffers of the right shape, which are recomputed and need not be loaded. One of another
   * shape stays and is refused by `loadStateDict`: windows of another size have weights of the same shapes.
   */
  withoutDerived<T extends StateEntry>(
    entries: ReadonlyMap<string, T>,
    rename: (name: string) => string | null = (name) => name,
  ): Map<string, T> {
    const derived = new Map(
      datState(this.config)
        .filter(({ role }) => role === "derived")
        .map((e) => [e.name, e.shape]),
    );
    const kept = new Map<string, T>();
    for (const [name, entry] of entries) {
      const shape = derived.get(rename(name) ?? "");
      if (!shape || (`${shape}` !== `${entry.shape}` && !name.includes("attn_mask_"))) kept.set(name, entry);
    }
    return kept;
  }

  override loadStateDict(entries: StateDict, options: LoadOptions = {}): LoadReport {
    return super.loadStateDict(this.withoutDerived(entries, options.rename), options);
  }

  override dispose(): void {
    super.dispose();
    this.#tables.dispose();
  }

  #checkImages(x: Tensor): Size {
    const [, channels, h, w] = x.shape;
    if (x.rank !== 4 || channels !== this.config.inChannels || !h || !w) {
      throw new ShapeError(`DAT: expected images (b, ${this.config.inChannels}, h, w), got [${x.shape.join(", ")}]`);
    }
    return [h, w];
  }
}
