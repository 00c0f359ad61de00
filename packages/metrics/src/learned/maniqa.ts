import { Conv2d, type Init, Linear, Module, Sequential } from "@deplsr/nn";
import {
  add,
  attention,
  div,
  flatten,
  interpolate,
  mul,
  permute,
  relu,
  reshape,
  sigmoid,
  slice,
  squeeze,
  sub,
  sum,
  type Tensor,
  transient,
} from "@deplsr/tensor";
import { checkImages, MetricNetwork, type Watch } from "./network.ts";
import { type SwinConfig, SwinTransformer } from "./swin.ts";
import { TappedViT, type ViTConfig } from "./vit.ts";

/** Sizes of the network, and how an image is cut up for it. */
export interface MANIQAConfig {
  readonly vit: ViTConfig;
  /** Sizes of both Swin transformers but for their widths, which are the trunk's and half of it. */
  readonly swin: Omit<SwinConfig, "width" | "grid">;
  /** Transposed attention blocks in front of each of them. */
  readonly tabBlocks: number;
  /** Parts of the image that are looked at. */
  readonly crops: number;
}

/** The published sizes; the file of KonIQ-10k and that of KADID-10k. The file of PIPAL has the same with a `swin.scale` of 0.13. */
export const MANIQA_KONIQ: MANIQAConfig = {
  vit: { imageSize: 224, patchSize: 8, width: 768, heads: 12, mlpRatio: 4 },
  swin: { window: 4, depths: [2, 2], heads: [4, 4], mlpHidden: 768, scale: 0.8 },
  tabBlocks: 2,
  crops: 20,
};

/** The blocks of the trunk whose results are looked at. */
const TAPS = [6, 7, 8, 9];

/** Transposed attention: among channels, whose states are the values at all `n` positions. */
class TABlock extends Module {
  readonly cQ: Linear;
  readonly cK: Linear;
  readonly cV: Linear;

  constructor(positions: number, init: Init) {
    super();
    this.cQ = new Linear(positions, positions, {}, init);
    this.cK = new Linear(positions, positions, {}, init);
    this.cV = new Linear(positions, positions, {}, init);
  }

  /** `x (b, c, n)` → the same. The reference reads the transposed result as if it were not transposed; its weights expect that. */
  forward(x: Tensor): Tensor {
    const mixed = attention(this.cQ.forward(x), this.cK.forward(x), this.cV.forward(x));
    return add(x, reshape(permute(mixed, [0, 2, 1]), x.shape));
  }
}

/** Every patch's score and how much it counts, `(b, n)` each. */
export interface PatchScores {
  readonly score: Tensor;
  readonly weight: Tensor;
}

/**
 * MANIQA: attention over patches and over channels scores a photograph without reference; about 0 … 1, higher is better. By far the most
 * expensive metric: 135 billion products for each of 20 parts of an image.
 *
 * File: `ckpt_koniq10k.pt` from https://github.com/IIGROUP/MANIQA/releases, where pyiqa takes it from; the ImageNet trunk is in it.
 *
 * @see https://arxiv.org/abs/2204.08958
 */
export class MANIQA extends MetricNetwork {
  readonly vit: TappedViT;
  readonly tablock1: readonly TABlock[];
  readonly conv1: Conv2d;
  readonly swintransformer1: SwinTransformer;
  readonly tablock2: readonly TABlock[];
  readonly conv2: Conv2d;
  readonly swintransformer2: SwinTransformer;
  readonly fcScore: Sequential;
  readonly fcWeight: Sequential;
  readonly config: MANIQAConfig;

  constructor(config: MANIQAConfig, init: Init) {
    super();
    const { vit, swin, tabBlocks } = config;
    const { width } = vit;
    const grid = vit.imageSize / vit.patchSize;
    const half = width / 2;
    const tabs = (): TABlock[] => Array.from({ length: tabBlocks }, () => new TABlock(grid ** 2, init));
    const head = (last: (x: Tensor) => Tensor): Sequential =>
      // The third layer is a dropout while the metric is trained.
      new Sequential(new Linear(half, half, {}, init), relu, (x) => x, new Linear(half, 1, {}, init), last);
    this.vit = new TappedViT(vit, TAPS, init);
    this.tablock1 = tabs();
    this.conv1 = new Conv2d(width * TAPS.length, width, 1, {}, init);
    this.swintransformer1 = new SwinTransformer({ ...swin, width, grid }, init);
    this.tablock2 = tabs();
    this.conv2 = new Conv2d(width, half, 1, {}, init);
    this.swintransformer2 = new SwinTransformer({ ...swin, width: half, grid }, init);
    this.fcScore = head(relu);
    this.fcWeight = head(sigmoid);
    this.config = config;
  }

  /**
   * Scores `(b)` of images `(b, 3, h, w)`, RGB in [0, 1]: the weighted mean over all patches of all crops.
   *
   * @param watch sees every crop as `crop` and what `patchScores` finds in it
   */
  forward(image: Tensor, watch?: Watch): Tensor {
    checkImages("MANIQA", 1, image);
    const whole = this.prepare(image);
    const side = this.config.vit.imageSize;
    const sums = uniformCrops(whole.shape[2]!, whole.shape[3]!, side, this.config.crops).map(([top, left]) =>
      transient(() => {
        const crop = slice(whole, [null, null, [top, top + side], [left, left + side]]);
        watch?.("crop", crop);
        const { score, weight } = this.patchScores(crop, watch);
        return [sum(mul(score, weight), { dim: 1 }), sum(weight, { dim: 1 })] as const;
      }),
    );
    const total = (which: 0 | 1): Tensor => sums.map((pair) => pair[which]).reduce(add);
    return div(total(0), add(total(1), 1e-8));
  }

  /** Values in [−1, 1], and where a side is not longer than a crop's, enlarged until the shorter one is by a pixel. */
  prepare(image: Tensor): Tensor {
    const signed = sub(mul(image, 2), 1);
    const side = this.config.vit.imageSize;
    const shorter = Math.min(image.shape[2]!, image.shape[3]!);
    return shorter > side ? signed : interpolate(signed, { mode: "bilinear", scaleFactor: (side + 1) / shorter });
  }

  /**
   * Scores of the patches of crops `(b, 3, s, s)` with values in [−1, 1].
   *
   * @param watch sees `vit.block0` …, `features`, `tab1_0` …, `conv1`, `swin1.block0` …, `swin1`, `tab2_0` …, `swin2`, `patch_score` and
   *   `patch_weight`
   */
  patchScores(crop: Tensor, watch?: Watch): PatchScores {
    const step = (part: string, compute: () => Tensor): Tensor => {
      const x = transient(compute);
      watch?.(part, x);
      return x;
    };
    const grid = this.config.vit.imageSize / this.config.vit.patchSize;
    const asMap = (x: Tensor): Tensor => reshape(x, [crop.shape[0]!, -1, grid, grid]);
    const attendChannels = (blocks: readonly TABlock[], part: string, x: Tensor): Tensor =>
      blocks.reduce((value, block, index) => step(`${part}_${index}`, () => block.forward(value)), x);
    const features = step("features", () => permute(this.vit.forward(crop, watch), [0, 2, 1])); // (b, 4c, n)
    const mixed = attendChannels(this.tablock1, "tab1", features);
    const narrowed = step("conv1", () => this.conv1.forward(asMap(mixed))); // (b, c, h, w)
    const local = step("swin1", () =>
      this.swintransformer1.forward(narrowed, watch && ((part, x) => watch(`swin1.${part}`, x))),
    );
    const mixedAgain = attendChannels(this.tablock2, "tab2", flatten(local, 2)); // (b, c, n)
    const last = step("swin2", () => this.swintransformer2.forward(this.conv2.forward(asMap(mixedAgain))));
    const tokens = permute(flatten(last, 2), [0, 2, 1]); // (b, n, c / 2)
    return {
      score: step("patch_score", () => squeeze(this.fcScore.forward(tokens), 2)),
      weight: step("patch_weight", () => squeeze(this.fcWeight.forward(tokens), 2)),
    };
  }
}

/**
 * Places of `count` crops of a side spread over an image, row by row: steps divide what is left of the image into ⌊√count⌋, ⌈√count⌉ places
 * along each axis, and the last ones are left out.
 */
export function uniformCrops(
  height: number,
  width: number,
  side: number,
  count: number,
): [top: number, left: number][] {
  const [intervals, places] = [Math.floor(Math.sqrt(count)), Math.ceil(Math.sqrt(count))];
  const [down, right] = [Math.floor((height - side) / intervals), Math.floor((width - side) / intervals)];
  return Array.from({ length: count }, (_, i) => [Math.floor(i / places) * down, (i % places) * right]);
}
