import {
  BatchNorm2d,
  Conv2d,
  type FieldNames,
  type Init,
  type Layer,
  Module,
  Sequential,
  type Size2d,
} from "@deplsr/nn";
import { avgPool2d, cat, maxPool2d, mean, relu, type Tensor, transient } from "@deplsr/tensor";
import { checkImages, MetricNetwork, Named, type Watch } from "./network.ts";

/** Convolution without bias, batch normalisation, ReLU. */
class BasicConv extends Module {
  readonly conv: Conv2d;
  readonly bn: BatchNorm2d;

  constructor(
    input: number,
    output: number,
    kernel: Size2d,
    place: { readonly stride?: number; readonly padding?: Size2d },
    init: Init,
  ) {
    super();
    this.conv = new Conv2d(input, output, kernel, { ...place, bias: false }, init);
    this.bn = new BatchNorm2d(output, { eps: 0.001 }, init);
  }

  forward(x: Tensor): Tensor {
    return relu(this.bn.forward(this.conv.forward(x)));
  }
}

/** A convolution of a branch: with stride 1 it keeps the size, with 2 it is without padding. */
interface Conv {
  readonly name: string;
  readonly output: number;
  readonly kernel: readonly [height: number, width: number];
  readonly stride: number;
}

/** What a branch does, step by step. Convolutions in a list read the same input and are joined. */
type Branch = readonly (Conv | readonly Conv[] | ((x: Tensor) => Tensor))[];

function conv(name: string, output: number, kernel: Size2d = 1, stride = 1): Conv {
  return { name, output, kernel: typeof kernel === "number" ? [kernel, kernel] : kernel, stride };
}

/** Branches over one input; their results are joined along the channels in the order of the branches. */
class Mixed extends Module {
  readonly convs: Named<BasicConv>;
  readonly branches: readonly Sequential[];
  /** Channels of the result. */
  readonly output: number;

  constructor(input: number, branches: readonly Branch[], init: Init) {
    super();
    const made = new Map<string, BasicConv>();
    const make = (channels: number, { name, output, kernel, stride }: Conv): BasicConv => {
      const padding = stride === 1 ? ([(kernel[0] - 1) / 2, (kernel[1] - 1) / 2] as const) : 0;
      const one = new BasicConv(channels, output, kernel, { stride, padding }, init);
      made.set(name, one);
      return one;
    };
    let total = 0;
    this.branches = branches.map((steps) => {
      let channels = input;
      const layers = steps.map((step): Layer => {
        if (typeof step === "function") return step;
        const rows = "name" in step ? [step] : step;
        const side = rows.map((row) => make(channels, row));
        channels = rows.reduce((sum, { output }) => sum + output, 0);
        return (x) =>
          cat(
            side.map((one) => one.forward(x)),
            1,
          );
      });
      total += channels;
      return new Sequential(...layers);
    });
    this.convs = new Named(made);
    this.output = total;
  }

  override fieldNames(): FieldNames {
    return { convs: "" };
  }

  forward(x: Tensor): Tensor {
    return cat(
      this.branches.map((branch) => branch.forward(x)),
      1,
    );
  }
}

/** Means of 3×3 that keep the size and do not count what lies outside. */
const averagePool = (x: Tensor): Tensor => avgPool2d(x, { kernel: 3, stride: 1, padding: 1, countIncludePad: false });
const maxPool = (x: Tensor): Tensor => maxPool2d(x, { kernel: 3, stride: 1, padding: 1 });
const halve = (x: Tensor): Tensor => maxPool2d(x, { kernel: 3, stride: 2 });

const mixed5 = (pooled: number): readonly Branch[] => [
  [conv("branch1x1", 64)],
  [conv("branch5x5_1", 48), conv("branch5x5_2", 64, 5)],
  [conv("branch3x3dbl_1", 64), conv("branch3x3dbl_2", 96, 3), conv("branch3x3dbl_3", 96, 3)],
  [averagePool, conv("branch_pool", pooled)],
];

const MIXED_6A: readonly Branch[] = [
  [conv("branch3x3", 384, 3, 2)],
  [conv("branch3x3dbl_1", 64), conv("branch3x3dbl_2", 96, 3), conv("branch3x3dbl_3", 96, 3, 2)],
  [halve],
];

const mixed6 = (c: number): readonly Branch[] => [
  [conv("branch1x1", 192)],
  [conv("branch7x7_1", c), conv("branch7x7_2", c, [1, 7]), conv("branch7x7_3", 192, [7, 1])],
  [
    conv("branch7x7dbl_1", c),
    conv("branch7x7dbl_2", c, [7, 1]),
    conv("branch7x7dbl_3", c, [1, 7]),
    conv("branch7x7dbl_4", c, [7, 1]),
    conv("branch7x7dbl_5", 192, [1, 7]),
  ],
  [averagePool, conv("branch_pool", 192)],
];

const MIXED_7A: readonly Branch[] = [
  [conv("branch3x3_1", 192), conv("branch3x3_2", 320, 3, 2)],
  [
    conv("branch7x7x3_1", 192),
    conv("branch7x7x3_2", 192, [1, 7]),
    conv("branch7x7x3_3", 192, [7, 1]),
    conv("branch7x7x3_4", 192, 3, 2),
  ],
  [halve],
];

const mixed7 = (pool: (x: Tensor) => Tensor): readonly Branch[] => [
  [conv("branch1x1", 320)],
  [conv("branch3x3_1", 384), [conv("branch3x3_2a", 384, [1, 3]), conv("branch3x3_2b", 384, [3, 1])]],
  [
    conv("branch3x3dbl_1", 448),
    conv("branch3x3dbl_2", 384, 3),
    [conv("branch3x3dbl_3a", 384, [1, 3]), conv("branch3x3dbl_3b", 384, [3, 1])],
  ],
  [pool, conv("branch_pool", 192)],
];

/** The mixed blocks in order. That the last one takes the largest value instead of the mean is a slip of the original network. */
const MIXED: readonly (readonly [name: string, branches: readonly Branch[]])[] = [
  ["Mixed_5b", mixed5(32)],
  ["Mixed_5c", mixed5(64)],
  ["Mixed_5d", mixed5(64)],
  ["Mixed_6a", MIXED_6A],
  ["Mixed_6b", mixed6(128)],
  ["Mixed_6c", mixed6(160)],
  ["Mixed_6d", mixed6(160)],
  ["Mixed_6e", mixed6(192)],
  ["Mixed_7a", MIXED_7A],
  ["Mixed_7b", mixed7(averagePool)],
  ["Mixed_7c", mixed7(maxPool)],
];

/** Smallest side of an image: the last blocks would be left without pixels. */
const SMALLEST = 75;

/**
 * Inception-v3 as the Fréchet inception distance has it, up to the average of its last map.
 *
 * File: `pt_inception-2015-12-05-6726825d.pth` from https://github.com/mseitzer/pytorch-fid/releases.
 *
 * @see https://arxiv.org/abs/1512.00567
 */
export class InceptionV3 extends MetricNetwork {
  readonly stages: Named<BasicConv | Mixed>;

  constructor(init: Init) {
    super();
    const stages: [string, BasicConv | Mixed][] = [
      ["Conv2d_1a_3x3", new BasicConv(3, 32, 3, { stride: 2 }, init)],
      ["Conv2d_2a_3x3", new BasicConv(32, 32, 3, {}, init)],
      ["Conv2d_2b_3x3", new BasicConv(32, 64, 3, { padding: 1 }, init)],
      ["Conv2d_3b_1x1", new BasicConv(64, 80, 1, {}, init)],
      ["Conv2d_4a_3x3", new BasicConv(80, 192, 3, {}, init)],
    ];
    let channels = 192;
    for (const [name, branches] of MIXED) {
      const block = new Mixed(channels, branches, init);
      stages.push([name, block]);
      channels = block.output;
    }
    this.stages = new Named(stages);
  }

  override fieldNames(): FieldNames {
    return { stages: "" };
  }

  /**
   * Features `(b, 2048)` of images `(b, 3, h, w)` in [−1, 1]; the distance takes 299×299.
   *
   * @param watch sees what each stage gives
   * @throws RangeError for images with a side below 75
   */
  forward(image: Tensor, watch?: Watch): Tensor {
    checkImages("InceptionV3", SMALLEST, image);
    let x = image;
    for (const [name, stage] of this.stages.parts) {
      const input = name === "Conv2d_3b_1x1" || name === "Mixed_5b" ? halve(x) : x;
      x = transient(() => stage.forward(input));
      watch?.(name, x);
    }
    return mean(x, { dim: [2, 3] });
  }
}
