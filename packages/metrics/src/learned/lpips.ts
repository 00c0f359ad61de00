import { Conv2d, constant, type FieldNames, type Init, Module, Sequential } from "@deplsr/nn";
import { add, div, l2Norm, mean, mul, square, sub, type Tensor, transient } from "@deplsr/tensor";
import { checkImages, MetricNetwork, Named } from "./network.ts";
import { alexNet, squeezeNet, type Trunk, vgg16 } from "./trunk.ts";

/** The networks that LPIPS was published with. `alex` is the usual one. */
export type LPIPSNet = "alex" | "vgg" | "squeeze";

const TRUNKS: Readonly<Record<LPIPSNet, (init: Init) => Trunk>> = { alex: alexNet, vgg: vgg16, squeeze: squeezeNet };

/** Mean and deviation of ImageNet's colours where images are in [−1, 1]. */
const SHIFT = [-0.03, -0.088, -0.188];
const SCALE = [0.458, 0.448, 0.45];

/** The weights of one tap's channels. */
class Head extends Module {
  readonly model: Sequential;

  constructor(channels: number, init: Init) {
    super();
    // The first layer is a dropout while the metric is trained.
    this.model = new Sequential((x) => x, new Conv2d(channels, 1, 1, { bias: false }, init));
  }
}

/**
 * Learned perceptual image patch similarity, version 0.1: the distance of two images in the features of a classifier, 0 for equal images
 * up to about 1, lower is better.
 *
 * Two files: the classifier's (`alexNet`, `vgg16`, `squeezeNet` say which) and the weights of its channels, `LPIPS_v0.1_alex-df73285e.pth`,
 * `LPIPS_v0.1_vgg-a78928a0.pth` or `LPIPS_v0.1_squeeze-4a5350f2.pth` from https://huggingface.co/chaofengc/IQA-PyTorch-Weights, which are
 * `alex.pth`, `vgg.pth` and `squeeze.pth` of https://github.com/richzhang/PerceptualSimilarity.
 *
 * @see https://arxiv.org/abs/1801.03924
 */
export class LPIPS extends MetricNetwork {
  readonly trunk: Trunk;
  readonly heads: Named<Head>;
  private readonly shift: Tensor;
  private readonly scale: Tensor;

  constructor({ net = "alex" }: { readonly net?: LPIPSNet }, init: Init) {
    super();
    this.trunk = TRUNKS[net](init);
    this.heads = new Named(this.trunk.channels.map((channels, tap) => [`lin${tap}`, new Head(channels, init)]));
    this.shift = constant(init.device.tensor(SHIFT, [1, 3, 1, 1]));
    this.scale = constant(init.device.tensor(SCALE, [1, 3, 1, 1]));
  }

  override fieldNames(): FieldNames {
    return { trunk: "", heads: "" };
  }

  /** Distances `(b)` of images `(b, 3, h, w)`, RGB in [0, 1]. @throws RangeError for different sizes, and for small images */
  forward(image: Tensor, reference: Tensor): Tensor {
    return this.contributions(image, reference).reduce(add);
  }

  /** What each tap adds to the distances: `(b)` each. */
  contributions(image: Tensor, reference: Tensor): Tensor[] {
    checkImages("LPIPS", this.trunk.smallest, image, reference);
    let [a, b] = [this.normalize(image), this.normalize(reference)];
    return [...this.heads.parts.values()].map(({ model }, tap) => {
      [a, b] = [this.trunk.stage(tap, a), this.trunk.stage(tap, b)];
      return transient(() => mean(model.forward(square(sub(unit(a), unit(b)))), { dim: [1, 2, 3] }));
    });
  }

  /** Colours as the classifier expects them: `(b, 3, h, w)`, shape kept. */
  normalize(image: Tensor): Tensor {
    return div(sub(sub(mul(image, 2), 1), this.shift), this.scale);
  }
}

/** Every pixel's channels as a direction. */
function unit(features: Tensor): Tensor {
  return div(features, add(l2Norm(features, { dim: 1, keepDim: true }), 1e-10));
}
