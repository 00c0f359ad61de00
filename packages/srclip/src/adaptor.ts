import {
  type CLIPConfig,
  Transformer,
  type TransformerConfig,
  type TransformerOptions,
  VisionTransformer,
} from "@deplsr/clip";
import { type Init, Linear, Module } from "@deplsr/nn";
import { add, assign, expand, scope, type Tensor } from "@deplsr/tensor";

/**
 * The image tower's blocks with a tap behind each: a linear map, zero at the start, whose output controls another tower.
 * The stream through the blocks itself is not changed by the taps.
 *
 * @see https://arxiv.org/abs/2302.05543 (ControlNet), where zero-initialised taps come from
 */
export class ControlTransformer extends Module {
  readonly transformer: Transformer;
  readonly zeroModules: readonly Linear[];

  constructor(config: TransformerConfig, init: Init) {
    super();
    this.transformer = new Transformer(config, init);
    this.zeroModules = Array.from({ length: config.layers }, () => new Linear(config.width, config.width, {}, init));
    this.closeTaps();
  }

  forward(x: Tensor, options: TransformerOptions = {}): Tensor {
    return this.transformer.forward(x, options);
  }

  attentionMaps(x: Tensor, options: TransformerOptions = {}): Tensor[] {
    return this.transformer.attentionMaps(x, options);
  }

  /** What the tap behind a block gives for the block's output: `(b, n, c)` → `(b, n, c)`. */
  tap(x: Tensor, block: number): Tensor {
    return this.zeroModules[block]!.forward(x);
  }

  /** Sets all taps to zero, so that they control nothing. */
  closeTaps(): void {
    scope(() => {
      for (const { weight, bias } of this.zeroModules) {
        assign(weight, weight.device.zeros(weight.shape));
        if (bias) assign(bias, bias.device.zeros(bias.shape));
      }
    });
  }
}

/** The degradation adaptor: an image tower of its own whose blocks have taps. */
export type DegradationAdaptor = VisionTransformer<ControlTransformer>;

/** Makes an adaptor for a CLIP's image tower; `copyTower` gives it the tower's weights. */
export function degradationAdaptor(config: CLIPConfig, init: Init): DegradationAdaptor {
  return VisionTransformer.withStack(config, (sizes, at) => new ControlTransformer(sizes, at), init);
}

/** What an adaptor sees in an image. */
export interface AdaptorOutput {
  /** Degradation features (b, embedDim), not normalised. */
  readonly degradation: Tensor;
  /** Output of the tap behind each block (b, n, c), block 0 first. */
  readonly taps: readonly Tensor[];
}

/** Runs an adaptor over images `(b, 3, s, s)`. */
export function runAdaptor(
  adaptor: DegradationAdaptor,
  image: Tensor,
  options: Pick<TransformerOptions, "checkpoint"> = {},
): AdaptorOutput {
  const taps: Tensor[] = [];
  const degradation = adaptor.forward(image, {
    ...options,
    afterBlock: (x, block) => {
      taps.push(adaptor.transformer.tap(x, block));
      return x;
    },
  });
  return { degradation, taps };
}

/**
 * Adds an adaptor's taps to the stream of another tower, in reversed order: its block l receives tap L − 1 − l, so that the
 * deepest tap enters first. Trained weights depend on this order.
 */
export function controlledBy(taps: readonly Tensor[]): TransformerOptions {
  return { afterBlock: (x, block) => add(x, taps[taps.length - 1 - block]!) };
}

/**
 * How an adaptor starts from the image tower of a loaded CLIP.
 *
 * - `clean`: every tensor of the tower is copied to the one of the same name and all taps are zero, so that at first the
 *   controlled features are the plain ones.
 * - `reference`: tensors are copied by position, as the reference does. Its taps stand before the last normalisation in that
 *   order, so the normalisation's weight and bias land in tap 0 (each row of its weight; its bias), the adaptor's last
 *   normalisation keeps its own values, and the taps after the first stay as they are.
 */
export type AdaptorStart = "clean" | "reference";

/** Copies an image tower's weights into an adaptor. */
export function copyTower(tower: VisionTransformer, adaptor: DegradationAdaptor, start: AdaptorStart = "clean"): void {
  if (start === "reference") copyByPosition(tower, adaptor);
  else copyByName(tower, adaptor);
}

function copyByName(tower: VisionTransformer, adaptor: DegradationAdaptor): void {
  const entries = tower.stateDict();
  const taps = /^transformer\.zero_modules\./;
  const rename = (name: string): string => name.replace(/^transformer\./, "transformer.transformer.");
  adaptor.loadStateDict(entries, { rename, allowMissing: (name) => taps.test(name) });
  adaptor.transformer.closeTaps();
}

function copyByPosition(tower: VisionTransformer, adaptor: DegradationAdaptor): void {
  const targets = [...adaptor.parameters().values()];
  scope(() => {
    for (const [position, source] of [...tower.parameters().values()].entries()) {
      const target = targets[position]!;
      assign(target, expand(source, target.shape));
    }
  });
}
