import { checkTensor } from "../arguments.ts";
import { composed, noGrad, recordTogether } from "../autograd.ts";
import { describe, ShapeError } from "../errors.ts";
import { deviceOf, emptyIn } from "../making.ts";
import type { Tensor } from "../tensor.ts";
import { checkFloats, throughF32 } from "./floats.ts";
import { asRows, matmul, productSum, sumsInside } from "./matmul.ts";
import { add } from "./pointwise.ts";
import { sumTo } from "./reduction.ts";
import { reshape, squeeze, transpose, unsqueeze } from "./view.ts";

function checkLinear(op: string, x: Tensor, weight: Tensor, bias: Tensor | undefined, axis: number): void {
  checkTensor(op, "x", x);
  checkTensor(op, "weight", weight);
  if (bias !== undefined && bias !== null) checkTensor(op, "bias", bias);
  checkFloats(op, { x, weight, bias: bias ?? undefined });
  const inner = x.shape.at(axis);
  if (weight.rank !== 2 || inner === undefined || inner !== weight.shape[1]) {
    throw new ShapeError(
      `${op}: x ${describe(x)} does not fit weight ${describe(weight)} (${inner} vs ${weight.shape[1]})`,
    );
  }
  if (bias !== undefined && bias !== null) {
    if (bias.rank !== 1 || bias.size !== weight.shape[0]) {
      throw new ShapeError(`${op}: bias ${describe(bias)} does not fit weight ${describe(weight)}`);
    }
  }
  deviceOf(op, x, weight, ...(bias ? [bias] : []));
}

/** `x·weightᵀ + bias`: `x (…, in)`, `weight (out, in)`, `bias (out)` → `(…, out)`; all f32, or all f16. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  checkLinear("linear", x, weight, bias, -1);
  if (x.dtype === "f16") return throughF32("linear", [x, weight, bias], linear);
  return composed("linear", () => {
    // Images that are turned round are products of their own; else all leading axes are rows of one matrix.
    if (x.rank === 3 && x.lazy("linear").layout.strides[2] !== 1 && x.shape[0] !== 1) {
      return mapped(x, weight, bias, {
        product: (x, weight) => matmul(x, transpose(weight, 0, 1)),
        biasShape: [weight.shape[0]!],
        // In the order in which x lies.
        byInput: (dy, weight) => {
          using turned = transpose(weight, 0, 1);
          return transpose(matmul(turned, transpose(dy, 1, 2)), 1, 2);
        },
        factors: (dy, x) => [transpose(dy, 1, 2), x],
      });
    }
    const y = mapped(asRows(x), weight, bias, {
      // Given back at once: a weight that others hold cannot be written in place.
      product: (x, weight) => {
        using turned = transpose(weight, 0, 1);
        return matmul(x, turned);
      },
      biasShape: [weight.shape[0]!],
      byInput: (dy, weight) => matmul(dy, weight),
      // The weight's gradient in the weight's own order: that of a product with its transpose would have to be turned round.
      factors: (dy, x) => [unsqueeze(transpose(dy, 0, 1), 0), unsqueeze(x, 0)],
    });
    return x.rank === 2 ? y : reshape(y, [...x.shape.slice(0, -1), weight.shape[0]!]);
  });
}

/**
 * The same along the channels of images whose positions are joined, which is a 1×1 convolution: `weight·x + bias`, `x (b, in, n)`, `weight (out, in)`,
 * `bias (out)` → `(b, out, n)`; all f32, or all f16.
 */
export function channelLinear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  checkLinear("channelLinear", x, weight, bias, 1);
  if (x.rank !== 3) throw new ShapeError(`channelLinear: takes x (b, in, n), got ${describe(x)}`);
  if (x.dtype === "f16") return throughF32("channelLinear", [x, weight, bias], channelLinear);
  return composed("channelLinear", () =>
    mapped(x, weight, bias, {
      product: (x, weight) => matmul(weight, x),
      biasShape: [weight.shape[0]!, 1],
      byInput: (dy, weight) => {
        using turned = transpose(weight, 0, 1);
        return matmul(turned, dy);
      },
      factors: (dy, x) => [dy, transpose(x, 1, 2)],
    }),
  );
}

/** How x, weight and bias meet. */
interface Mapping {
  readonly product: (x: Tensor, weight: Tensor) => Tensor;
  readonly biasShape: readonly number[];
  readonly byInput: (dy: Tensor, weight: Tensor) => Tensor;
  /** `(b, out, k)` and `(b, k, in)`: the weight's gradient is the sum of their products, and the bias's the sums of the rows of the first. */
  readonly factors: (dy: Tensor, x: Tensor) => readonly [Tensor, Tensor];
}

/** One node for all three, so that the gradients of weight and bias are computed in one launch. */
function mapped(x: Tensor, weight: Tensor, bias: Tensor | undefined, mapping: Mapping): Tensor {
  const { device } = x;
  const [out, inner] = weight.shape as [number, number];
  const y = noGrad(() => {
    const product = mapping.product(x, weight);
    return bias ? add(product, reshape(bias, mapping.biasShape)) : product;
  });
  const wants = { weight: weight.requiresGrad, bias: bias?.requiresGrad ?? false };
  const inputs = [x, weight, ...(bias ? [bias] : [])];
  recordTogether([y], "linear", inputs, [x, weight], ([dy], give, [x, weight], place) => {
    give(0, () => mapping.byInput(dy!, weight!));
    if (!wants.weight && !wants.bias) return;
    const [a, b] = mapping.factors(dy!, x!);
    const fused = sumsInside(a);
    if (wants.weight && wants.bias && fused) {
      const product = emptyIn(place(1), device, [out, inner], "linear.dWeight");
      const rowSums = emptyIn(place(2), device, [out], "linear.dBias");
      productSum(a, b, { product, rowSums });
      give(1, product);
      give(2, rowSums);
      return;
    }
    const product = (): Tensor =>
      a.shape[0] === 1 ? matmul(squeeze(a, 0), squeeze(b, 0)) : sumTo(matmul(a, b), [out, inner]);
    give(1, () => (fused ? productSum(a, b) : product()));
    if (wants.bias) give(2, () => reshape(sumTo(dy!, mapping.biasShape), [out]));
  });
  return y;
}
