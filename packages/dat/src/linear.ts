import { type Conv2d, type Init, Linear, truncNormal } from "@deplsr/nn";
import { assign, channelLinear, noGrad, reshape, scope, type Tensor, transpose } from "@deplsr/tensor";

/**
 * Linear maps between the two layouts of features: tokens (b, n, c) and channels (b, c, n), an image whose rows are joined.
 * A product can be written into either layout, so that changing it costs no copy.
 */

/** A linear layer as the reference starts it: weights normal with deviation 0.02, bias 0. */
export function makeLinear(inFeatures: number, outFeatures: number, bias: boolean, init: Init): Linear {
  const layer = new Linear(inFeatures, outFeatures, { bias }, init);
  noGrad(() =>
    scope(() => {
      assign(layer.weight, truncNormal([outFeatures, inFeatures], 0.02, init));
      if (layer.bias) assign(layer.bias, init.device.zeros([outFeatures]));
    }),
  );
  return layer;
}

/** Tokens `(b, n, in)` → channels `(b, out, n)`. */
export function toChannels(layer: Linear, tokens: Tensor): Tensor {
  return channelLinear(transpose(tokens, 1, 2), layer.weight, layer.bias ?? undefined);
}

/** Channels `(b, in, n)` → tokens `(b, n, out)`. */
export function toTokens(layer: Linear, channels: Tensor): Tensor {
  return layer.forward(transpose(channels, 1, 2));
}

/** A 1×1 convolution of channels `(b, in, n)` → `(b, out, n)`. */
export function mixChannels(convolution: Conv2d, channels: Tensor): Tensor {
  const [out, inner] = convolution.weight.shape as [number, number, ...number[]];
  return channelLinear(channels, reshape(convolution.weight, [out, inner]), convolution.bias ?? undefined);
}
