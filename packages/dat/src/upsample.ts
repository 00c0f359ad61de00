import { Conv2d, type FieldNames, type Init, Module, replaced } from "@deplsr/nn";
import { assign, leakyRelu, pixelShuffle, scope, type Tensor, transient } from "@deplsr/tensor";
import { type DATConfig, upsampleSteps } from "./config.ts";
import { UPSAMPLE_NAMES } from "./keys.ts";

/** Features `(b, c, h, w)` → image `(b, inChannels, s·h, s·w)`, s the scale of the configuration. */
export type Head = Module & {
  /** The convolution that everything comes out of. */
  readonly last: Conv2d;
  forward(features: Tensor): Tensor;
};

/** One convolution to s² values for each channel of the image, and a pixel shuffle. */
class DirectHead extends Module {
  readonly steps: readonly Conv2d[];
  readonly #scale: number;

  constructor({ embedDim, inChannels, upscale }: DATConfig, init: Init) {
    super();
    this.steps = [new Conv2d(embedDim, inChannels * upscale * upscale, 3, { padding: 1 }, init)];
    this.#scale = upscale;
  }

  get last(): Conv2d {
    return this.steps[0]!;
  }

  override fieldNames(): FieldNames {
    return UPSAMPLE_NAMES;
  }

  forward(features: Tensor): Tensor {
    return pixelShuffle(this.steps[0]!.forward(features), this.#scale);
  }
}

/** Fewer features, a convolution and a pixel shuffle by 2 as often as needed (or once by 3), and a convolution to the image. */
class SteppedHead extends Module {
  readonly convBeforeUpsample: readonly [Conv2d];
  /** The reference counts the pixel shuffles between the convolutions. */
  readonly steps: readonly (Conv2d | null)[];
  readonly convLast: Conv2d;
  readonly #factors: readonly number[];

  constructor({ embedDim, inChannels, numFeatures, upscale }: DATConfig, init: Init) {
    super();
    const convolution = (from: number, to: number): Conv2d => new Conv2d(from, to, 3, { padding: 1 }, init);
    this.#factors = upsampleSteps(upscale);
    this.convBeforeUpsample = [convolution(embedDim, numFeatures)];
    this.steps = this.#factors.flatMap((r) => [convolution(numFeatures, numFeatures * r * r), null]);
    this.convLast = convolution(numFeatures, inChannels);
  }

  get last(): Conv2d {
    return this.convLast;
  }

  override fieldNames(): FieldNames {
    return UPSAMPLE_NAMES;
  }

  forward(features: Tensor): Tensor {
    let y = transient(() => leakyRelu(this.convBeforeUpsample[0].forward(features), 0.01));
    for (const [i, factor] of this.#factors.entries()) {
      const enlarge = (): Tensor => pixelShuffle(this.steps[2 * i]!.forward(y), factor);
      y = replaced(y, transient(enlarge));
    }
    return this.convLast.forward(y);
  }
}

/** The head that a configuration asks for; one that says what an enlarged image lacks says nothing at the start. */
export function makeHead(config: DATConfig, init: Init): Head {
  const head = config.upsampler === "pixelshuffle" ? new SteppedHead(config, init) : new DirectHead(config, init);
  if (config.globalResidual !== "none") silence(head.last);
  return head;
}

function silence({ weight, bias }: Conv2d): void {
  scope(() => {
    for (const tensor of [weight, bias]) if (tensor) assign(tensor, tensor.device.zeros(tensor.shape));
  });
}
