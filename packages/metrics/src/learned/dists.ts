import { constant, type FieldNames, type Init, parameter } from "@deplsr/nn";
import {
  add,
  cat,
  conv2d,
  div,
  expand,
  mean,
  mul,
  reshape,
  sqrt,
  square,
  sub,
  sum,
  type Tensor,
  transient,
} from "@deplsr/tensor";
import { checkImages, MetricNetwork } from "./network.ts";
import { type Trunk, vgg16 } from "./trunk.ts";

/** Mean and deviation of ImageNet's colours. */
const MEAN = [0.485, 0.456, 0.406];
const STD = [0.229, 0.224, 0.225];

/** Keeps the similarities finite where a channel is dead. */
const C = 1e-6;

/** How alike two images are in each channel of all taps: `(b, channels)` each, 1 where they agree. */
export interface Similarities {
  /** Of the channels' means. */
  readonly texture: Tensor;
  /** Of their deviations from the means. */
  readonly structure: Tensor;
}

/**
 * Deep image structure and texture similarity: 0 for equal images up to about 1, lower is better. Images are compared in their own size;
 * the authors' script shrinks them to 256 pixels first, pyiqa does not.
 *
 * Two files: torchvision's `vgg16-397923af.pth` and `DISTS_weights-f5e65c96.pth` from
 * https://huggingface.co/chaofengc/IQA-PyTorch-Weights, which is `weights.pt` of https://github.com/dingkeyan93/DISTS.
 *
 * @see https://arxiv.org/abs/2004.07728
 */
export class DISTS extends MetricNetwork {
  /** (1, 1475, 1, 1): the weight of each channel's texture; the image's own three come first */
  readonly alpha: Tensor;
  /** (1, 1475, 1, 1): the weight of each channel's structure */
  readonly beta: Tensor;
  readonly trunk: Trunk;
  private readonly mean: Tensor;
  private readonly std: Tensor;

  constructor(init: Init) {
    super();
    this.trunk = vgg16(init, l2Pool);
    const channels = this.trunk.channels.reduce((total, own) => total + own, 3);
    this.alpha = parameter(init.device.ones([1, channels, 1, 1]));
    this.beta = parameter(init.device.ones([1, channels, 1, 1]));
    this.mean = constant(init.device.tensor(MEAN, [1, 3, 1, 1]));
    this.std = constant(init.device.tensor(STD, [1, 3, 1, 1]));
  }

  override fieldNames(): FieldNames {
    return { trunk: "" };
  }

  /** Distances `(b)` of images `(b, 3, h, w)`, RGB in [0, 1]. @throws RangeError for different sizes, and for small images */
  forward(image: Tensor, reference: Tensor): Tensor {
    const { texture, structure } = this.similarities(image, reference);
    const weighted = (weights: Tensor, x: Tensor): Tensor => mul(reshape(weights, [1, -1]), x);
    const total = sum(add(weighted(this.alpha, texture), weighted(this.beta, structure)), { dim: 1 });
    return sub(1, div(total, add(sum(this.alpha), sum(this.beta))));
  }

  /** Texture and structure in every channel, in the order of the taps. */
  similarities(image: Tensor, reference: Tensor): Similarities {
    checkImages("DISTS", this.trunk.smallest, image, reference);
    const taps = [transient(() => compare(image, reference))];
    let [a, b] = [this.normalize(image), this.normalize(reference)];
    for (let tap = 0; tap < this.trunk.taps.length; tap++) {
      [a, b] = [this.trunk.stage(tap, a), this.trunk.stage(tap, b)];
      taps.push(transient(() => compare(a, b)));
    }
    const joined = (which: 0 | 1): Tensor =>
      cat(
        taps.map((pair) => pair[which]),
        1,
      );
    return { texture: joined(0), structure: joined(1) };
  }

  /** Colours as the classifier expects them: `(b, 3, h, w)`, shape kept. */
  normalize(image: Tensor): Tensor {
    return div(sub(image, this.mean), this.std);
  }
}

/** Texture and structure of features `(b, c, h, w)`: `(b, c)` each. */
function compare(a: Tensor, b: Tensor): readonly [texture: Tensor, structure: Tensor] {
  const average = (x: Tensor): Tensor => mean(x, { dim: [2, 3], keepDim: true });
  const alike = (product: Tensor, squares: Tensor): Tensor =>
    reshape(div(add(mul(product, 2), C), add(squares, C)), a.shape.slice(0, 2));
  const [meanA, meanB] = [average(a), average(b)];
  // Around the means, since the difference of two large averages would lose the small covariances of dead channels.
  const [centredA, centredB] = [sub(a, meanA), sub(b, meanB)];
  return [
    alike(mul(meanA, meanB), add(square(meanA), square(meanB))),
    alike(average(mul(centredA, centredB)), add(average(square(centredA)), average(square(centredB)))),
  ];
}

/** 3×3 window of a sampled cosine, whose sum is 1. */
const HANNING = [1, 2, 1, 2, 4, 2, 1, 2, 1].map((weight) => weight / 16);

/** Pooling without aliasing: the root of the windowed mean of squares, `(b, c, h, w)` → `(b, c, ⌈h / 2⌉, ⌈w / 2⌉)`. */
export function l2Pool(x: Tensor): Tensor {
  const channels = x.shape[1]!;
  const window = expand(x.device.tensor(HANNING, [1, 1, 3, 3]), [channels, 1, 3, 3]);
  return sqrt(add(conv2d(square(x), window, { stride: 2, padding: 1, groups: channels }), 1e-12));
}
