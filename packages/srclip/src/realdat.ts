import { DAT, type DATForward, type Modulator, makeLinear } from "@deplsr/dat";
import {
  type FieldNames,
  type Init,
  inference,
  type LoadOptions,
  type LoadReport,
  type Mode,
  Module,
  Sequential,
  type StateDict,
} from "@deplsr/nn";
import { relu, ShapeError, type Tensor, transient } from "@deplsr/tensor";
import { FusionBlock, type FusionMaps } from "./fusion.ts";
import { checkRealDATConfig, fusionGroups, type RealDATConfig } from "./realdat-config.ts";

/** What SrCLIP says of an image. b is the batch of the images, `clipDim` the width of the embedding. */
export interface ImagePrompt {
  /** What it shows: (b, ni, clipDim), ni usually 1. */
  readonly content: Tensor;
  /** How it is degraded: (b, nd, clipDim), one feature for each kind of degradation. */
  readonly degradation: Tensor;
}

/** How a RealDAT runs: in inference mode unless told otherwise, and as a plain DAT without a prompt. */
export interface RealDATForward {
  readonly mode?: Mode;
  readonly prompt?: ImagePrompt | null;
  /** Recompute each block in the backward pass instead of storing its activations: less memory, a third more time. */
  readonly checkpoint?: boolean;
  /** As of a DAT. */
  readonly onFeatures?: NonNullable<DATForward["onFeatures"]>;
  /** Shown where the fusion block in front of each residual group looks. The maps are freed with the pass: those wanted later need `keep`. */
  readonly onFusion?: (maps: FusionMaps, group: number) => void;
}

/** DAT whose groups are preceded by cross-modal fusion with features of the image's content and degradation. */
export class RealDAT extends Module {
  readonly config: RealDATConfig;
  readonly dat: DAT;
  /** The block in front of each group, null where there is none. */
  readonly fusionBlocks: readonly (FusionBlock | null)[];
  /** Brings features of either kind to the width of the tokens. */
  readonly adaptiveFeatChannels: Sequential;

  /** @throws Error naming the field of the configuration that does not fit */
  constructor(config: RealDATConfig, init: Init) {
    super();
    this.config = checkRealDATConfig(config);
    const { embedDim, clipDim } = config;
    this.dat = new DAT(config, init);
    const fused = new Set(fusionGroups(config));
    this.fusionBlocks = config.depth.map((_, group) =>
      fused.has(group) ? new FusionBlock(embedDim, fusionOptions(config), init) : null,
    );
    this.adaptiveFeatChannels = new Sequential(
      makeLinear(clipDim, embedDim, true, init),
      relu,
      makeLinear(embedDim, embedDim, true, init),
      relu,
    );
  }

  override fieldNames(): FieldNames {
    return { dat: "" }; // the reference's RealDAT is a DAT
  }

  /**
   * Images `(b, inChannels, h, w)` in [0, 1] → `(b, inChannels, s·h, s·w)`, s the scale. Any size.
   * @throws ShapeError when the images or the prompt do not fit the configuration or each other
   */
  forward(x: Tensor, { mode = inference, prompt = null, onFusion, ...how }: RealDATForward = {}): Tensor {
    return transient(() =>
      this.dat.forward(x, { ...how, mode, modulator: prompt && this.modulator(x, prompt, mode, onFusion) }),
    );
  }

  override loadStateDict(entries: StateDict, options: LoadOptions = {}): LoadReport {
    return super.loadStateDict(this.dat.withoutDerived(entries, options.rename), options);
  }

  override dispose(): void {
    super.dispose();
    this.dat.dispose();
  }

  /**
   * The fusion of one forward pass: the prompt enters it, changes from group to group and is used up.
   * @param onFusion see `RealDATForward`
   * @throws ShapeError when the prompt does not fit the images or the configuration
   */
  modulator(
    x: Tensor,
    { content, degradation }: ImagePrompt,
    mode: Mode = inference,
    onFusion?: RealDATForward["onFusion"],
  ): Modulator {
    const { clipDim } = this.config;
    for (const [name, features] of Object.entries({ content, degradation })) {
      const [b, , width] = features.shape;
      if (features.rank !== 3 || b !== x.shape[0] || width !== clipDim) {
        throw new ShapeError(
          `RealDAT: prompt.${name}: expected (${x.shape[0]}, n, ${clipDim}), got [${features.shape.join(", ")}]`,
        );
      }
    }
    let xi = this.adaptiveFeatChannels.forward(content); // (b, ni, c)
    let xd = this.adaptiveFeatChannels.forward(degradation); // (b, nd, c)
    return {
      modulate: (group, tokens) => {
        const block = this.fusionBlocks[group];
        if (!block) return tokens;
        const onMaps = onFusion && ((maps: FusionMaps) => onFusion(maps, group));
        const fused = transient(() => block.forward(tokens, xi, xd, mode, onMaps));
        xi = fused.xi;
        xd = fused.xd;
        return fused.x;
      },
    };
  }
}

function fusionOptions(config: RealDATConfig): ConstructorParameters<typeof FusionBlock>[1] {
  return {
    numHeads: config.fusionNumHeads,
    qkvBias: config.fusionQkvBias,
    attnRatio: config.fusionAttnRatio,
    mlpRatio: config.fusionMlpRatio,
    attnDropRate: config.fusionAttnDropRate,
    dropRate: config.fusionDropRate,
    layerNormEps: config.layerNormEps,
  };
}
