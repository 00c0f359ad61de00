import { Conv2d, type Init, type Layer, Module, Sequential } from "@deplsr/nn";
import { cat, maxPool2d, relu, type Tensor, transient } from "@deplsr/tensor";

/** The layers of a classifier and where they are tapped. */
interface TrunkLayers {
  /** Numbered as torchvision's `features`. */
  readonly layers: readonly Layer[];
  /** Channels of the tapped layers, by number. */
  readonly taps: Readonly<Record<number, number>>;
  /** Smallest side of an image in pixels. */
  readonly smallest: number;
}

/** The convolutional part of an ImageNet classifier up to its last tap; names are torchvision's. */
export class Trunk extends Module {
  readonly features: Sequential;
  /** Numbers of the tapped layers. */
  readonly taps: readonly number[];
  /** Channels of each tap. */
  readonly channels: readonly number[];
  readonly smallest: number;

  constructor({ layers, taps, smallest }: TrunkLayers) {
    super();
    this.features = new Sequential(...layers);
    this.taps = Object.keys(taps).map(Number);
    this.channels = Object.values(taps);
    this.smallest = smallest;
  }

  /** From one tap to the next: of the image for tap 0, else of what tap − 1 gave. */
  stage(tap: number, x: Tensor): Tensor {
    const first = tap === 0 ? 0 : this.taps[tap - 1]! + 1;
    const layers = this.features.layers.slice(first, this.taps[tap]! + 1);
    return transient(() => new Sequential(...layers).forward(x));
  }

  /** What all taps give, in order: each `(b, channels, h', w')`. */
  forward(x: Tensor): Tensor[] {
    const results: Tensor[] = [];
    for (let tap = 0; tap < this.taps.length; tap++) results.push(this.stage(tap, results.at(-1) ?? x));
    return results;
  }
}

/** AlexNet, tapped after each ReLU. File: torchvision's `alexnet-owt-7be5be79.pth`. @see https://arxiv.org/abs/1404.5997 */
export function alexNet(init: Init): Trunk {
  const pool: Layer = (x) => maxPool2d(x, { kernel: 3, stride: 2 });
  const layers = [
    new Conv2d(3, 64, 11, { stride: 4, padding: 2 }, init),
    relu,
    pool,
    new Conv2d(64, 192, 5, { padding: 2 }, init),
    relu,
    pool,
    new Conv2d(192, 384, 3, { padding: 1 }, init),
    relu,
    new Conv2d(384, 256, 3, { padding: 1 }, init),
    relu,
    new Conv2d(256, 256, 3, { padding: 1 }, init),
    relu,
  ];
  return new Trunk({ layers, taps: { 1: 64, 4: 192, 7: 384, 9: 256, 11: 256 }, smallest: 31 });
}

/**
 * VGG-16, tapped after the last ReLU of each of its five groups. File: torchvision's `vgg16-397923af.pth`.
 *
 * @param pool halves the image between the groups; by default as published, by the largest of 2×2
 * @see https://arxiv.org/abs/1409.1556
 */
export function vgg16(init: Init, pool: Layer = (x) => maxPool2d(x, { kernel: 2 })): Trunk {
  const group = (convolutions: number, input: number, output: number): Layer[] =>
    Array.from({ length: convolutions }, (_, i) => [
      new Conv2d(i === 0 ? input : output, output, 3, { padding: 1 }, init),
      relu,
    ]).flat();
  const layers = [
    ...group(2, 3, 64),
    pool,
    ...group(2, 64, 128),
    pool,
    ...group(3, 128, 256),
    pool,
    ...group(3, 256, 512),
    pool,
    ...group(3, 512, 512),
  ];
  return new Trunk({ layers, taps: { 3: 64, 8: 128, 15: 256, 22: 512, 29: 512 }, smallest: 16 });
}

/** SqueezeNet's building block: a narrow layer, then 1×1 and 3×3 convolutions side by side. */
class Fire extends Module {
  readonly squeeze: Conv2d;
  readonly expand1x1: Conv2d;
  readonly expand3x3: Conv2d;

  constructor(input: number, squeeze: number, expand: number, init: Init) {
    super();
    this.squeeze = new Conv2d(input, squeeze, 1, {}, init);
    this.expand1x1 = new Conv2d(squeeze, expand, 1, {}, init);
    this.expand3x3 = new Conv2d(squeeze, expand, 3, { padding: 1 }, init);
  }

  forward(x: Tensor): Tensor {
    const narrow = relu(this.squeeze.forward(x));
    return cat([relu(this.expand1x1.forward(narrow)), relu(this.expand3x3.forward(narrow))], 1);
  }
}

/** SqueezeNet 1.1. File: torchvision's `squeezenet1_1-b8a52dc0.pth`. @see https://arxiv.org/abs/1602.07360 */
export function squeezeNet(init: Init): Trunk {
  const pool: Layer = (x) => maxPool2d(x, { kernel: 3, stride: 2, ceilMode: true });
  const layers = [
    new Conv2d(3, 64, 3, { stride: 2 }, init),
    relu,
    pool,
    new Fire(64, 16, 64, init),
    new Fire(128, 16, 64, init),
    pool,
    new Fire(128, 32, 128, init),
    new Fire(256, 32, 128, init),
    pool,
    new Fire(256, 48, 192, init),
    new Fire(384, 48, 192, init),
    new Fire(384, 64, 256, init),
    new Fire(512, 64, 256, init),
  ];
  return new Trunk({ layers, taps: { 1: 64, 4: 128, 7: 256, 9: 384, 10: 384, 11: 512, 12: 512 }, smallest: 17 });
}
