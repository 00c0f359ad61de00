import { Conv2d, type Init, Linear, Module, parameter } from "@deplsr/nn";
import {
  add,
  conv2d,
  div,
  layerNorm,
  maxPool2d,
  mean,
  mul,
  pad,
  permute,
  relu,
  reshape,
  sqrt,
  sub,
  type Tensor,
  transient,
  variance,
} from "@deplsr/tensor";
import { around } from "./musiq-patches.ts";

/**
 * Convolution without bias whose filters are brought to mean 0 and deviation 1, padded with zeros so that a stride of 1 keeps the size, the
 * smaller half in front. @see https://arxiv.org/abs/1903.10520
 */
class StdConv extends Module {
  readonly weight: Tensor;
  readonly stride: number;

  constructor(input: number, output: number, kernel: number, stride: number, init: Init) {
    super();
    this.weight = new Conv2d(input, output, kernel, { bias: false }, init).weight;
    this.stride = stride;
  }

  forward(x: Tensor): Tensor {
    const over = { dim: [1, 2, 3], keepDim: true };
    const centred = sub(this.weight, mean(this.weight, over));
    const filters = div(centred, add(sqrt(variance(this.weight, over)), 1e-5));
    const reach = (axis: number): [number, number] => {
      const size = x.shape[axis]!;
      return around(Math.max(0, (Math.ceil(size / this.stride) - 1) * this.stride + filters.shape[axis]! - size));
    };
    return conv2d(pad(x, [[0, 0], [0, 0], reach(2), reach(3)]), filters, { stride: this.stride });
  }
}

/** Normalisation over groups of channels. @see https://arxiv.org/abs/1803.08494 */
class GroupNorm extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly groups: number;
  readonly eps: number;

  constructor(channels: number, groups: number, eps: number, init: Init) {
    super();
    this.weight = parameter(init.device.ones([channels]));
    this.bias = parameter(init.device.zeros([channels]));
    this.groups = groups;
    this.eps = eps;
  }

  forward(x: Tensor): Tensor {
    const normal = reshape(layerNorm(reshape(x, [x.shape[0]!, this.groups, -1]), { eps: this.eps }), x.shape);
    return add(mul(normal, reshape(this.weight, [1, -1, 1, 1])), reshape(this.bias, [1, -1, 1, 1]));
  }
}

/** The residual block of the patch network: 64 channels → 256. */
class Bottleneck extends Module {
  readonly conv1: StdConv;
  readonly gn1: GroupNorm;
  readonly conv2: StdConv;
  readonly gn2: GroupNorm;
  readonly conv3: StdConv;
  readonly gn3: GroupNorm;
  readonly convProj: StdConv;
  readonly gnProj: GroupNorm;

  constructor(input: number, output: number, init: Init) {
    super();
    const norm = (channels: number): GroupNorm => new GroupNorm(channels, 32, 1e-4, init);
    this.conv1 = new StdConv(input, input, 1, 1, init);
    this.gn1 = norm(input);
    this.conv2 = new StdConv(input, input, 3, 1, init);
    this.gn2 = norm(input);
    this.conv3 = new StdConv(input, output, 1, 1, init);
    this.gn3 = norm(output);
    this.convProj = new StdConv(input, output, 1, 1, init);
    this.gnProj = norm(output);
  }

  forward(x: Tensor): Tensor {
    const narrow = relu(this.gn1.forward(this.conv1.forward(x)));
    const filtered = relu(this.gn2.forward(this.conv2.forward(narrow)));
    const y = this.gn3.forward(this.conv3.forward(filtered));
    return relu(add(y, this.gnProj.forward(this.convProj.forward(x))));
  }
}

/** The first convolution's channels, and those of a patch's map. */
const ROOT = 64;
const MAP = 256;

/** The network that makes a token of each patch: `(n, 3, p, p)` → `(n, hidden)`. */
export class PatchEmbedding extends Module {
  readonly convRoot: StdConv;
  readonly gnRoot: GroupNorm;
  readonly block1: Bottleneck;
  readonly embedding: Linear;

  constructor(patchSize: number, hidden: number, init: Init) {
    super();
    this.convRoot = new StdConv(3, ROOT, 7, 2, init);
    this.gnRoot = new GroupNorm(ROOT, 32, 1e-6, init);
    this.block1 = new Bottleneck(ROOT, MAP, init);
    this.embedding = new Linear(MAP * (patchSize / 4) ** 2, hidden, {}, init);
  }

  forward(patches: Tensor): Tensor {
    const root = transient(() => this.pool(relu(this.gnRoot.forward(this.convRoot.forward(patches)))));
    const map = transient(() => this.block1.forward(root));
    return this.embedding.forward(reshape(permute(map, [0, 2, 3, 1]), [patches.shape[0]!, -1]));
  }

  /** Halves a map; what lies beyond its last row and column counts as 0. */
  pool(x: Tensor): Tensor {
    return maxPool2d(
      pad(x, [
        [0, 0],
        [0, 0],
        [0, 1],
        [0, 1],
      ]),
      { kernel: 3, stride: 2 },
    );
  }
}
