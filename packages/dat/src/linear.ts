import { type Conv2d, type Init, Linear, truncNormal } from "@deplsr/nn";
import { add, assign, matmul, noGrad, reshape, scope, type Tensor, transpose } from "@deplsr/tensor";

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
  return channelProduct(layer.weight, layer.bias, transpose(tokens, 1, 2));
}

/** Channels `(b, in, n)` → tokens `(b, n, out)`. */
export function toTokens(layer: Linear, channels: Tensor): Tensor {
  const y = matmul(transpose(channels, 1, 2), transpose(layer.weight, 0, 1));
  return layer.bias ? add(y, layer.bias) : y;
}

/** A 1×1 convolution of channels `(b, in, n)` → `(b, out, n)`. */
export function mixChannels(convolution: Conv2d, channels: Tensor): Tensor {
  const [out, inner] = convolution.weight.shape as [number, number, ...number[]];
  return channelProduct(reshape(convolution.weight, [out, inner]), convolution.bias, channels);
}

function channelProduct(weight: Tensor, bias: Tensor | null, channels: Tensor): Tensor {
  const y = matmul(weight, channels);
  return bias ? add(y, reshape(bias, [bias.size, 1])) : y;
}
