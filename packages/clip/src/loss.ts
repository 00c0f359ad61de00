import { crossEntropy } from "@deplsr/nn";
import { add, div, logSigmoid, mul, neg, reshape, ShapeError, sum, type Tensor, transpose } from "@deplsr/tensor";
import { logits } from "./model.ts";

/** What the contrastive losses compare: row i of one side belongs to row i of the other. */
export interface ContrastiveInput {
  /** (b, e), length 1; or (g, b, e), g comparisons whose mean is the loss */
  readonly image: Tensor;
  /** The shape of `image`, length 1. */
  readonly text: Tensor;
  /** Scalar factor on the logits (not its logarithm). */
  readonly logitScale: Tensor;
  /** Scalar added to the logits. */
  readonly logitBias?: Tensor | null;
  /**
   * Which rows count as matching, (b, b) or (g, b, b) of 0 and 1, from `matchingRows`; by default only i with i. With it a
   * text that several rows share is no negative of itself.
   */
  readonly matches?: Tensor;
}

/** The logits of every comparison: (g, b, b). */
function similarity(op: string, { image, text, logitScale, logitBias = null }: ContrastiveInput): Tensor {
  if ((image.rank !== 2 && image.rank !== 3) || `${image.shape}` !== `${text.shape}`) {
    throw new ShapeError(
      `${op}: image [${image.shape.join(", ")}] and text [${text.shape.join(", ")}] must be (b, e) or (g, b, e), one row for each pair`,
    );
  }
  const z = logits(image, text, logitScale, logitBias);
  return image.rank === 3 ? z : reshape(z, [1, ...z.shape]);
}

/**
 * Mean of the cross-entropies of images against texts and of texts against images. → scalar
 *
 * @see https://arxiv.org/abs/2103.00020 figure 3
 */
export function clipLoss(input: ContrastiveInput): Tensor {
  const z = similarity("clipLoss", input); // (g, b, b)
  const [g = 0, b = 0] = z.shape;
  const target = input.matches
    ? matchShares(input.matches, g, b)
    : z.device.tensor(Int32Array.from({ length: g * b }, (_, row) => row % b));
  const rows = (x: Tensor): Tensor => reshape(x, [g * b, b]);
  return mul(add(crossEntropy(rows(z), target), crossEntropy(rows(transpose(z, 1, 2)), target)), 0.5);
}

/** The target of each row of (g·b, b) logits: equal shares for all that match. */
function matchShares(matches: Tensor, g: number, b: number): Tensor {
  const shares = div(matches, sum(matches, { dim: -1, keepDim: true }));
  const [groups = 0] = matches.rank === 3 ? matches.shape : [1];
  if (groups !== g) throw new ShapeError(`clipLoss: matches [${matches.shape.join(", ")}] must be (${g}, ${b}, ${b})`);
  return reshape(shares, [g * b, b]);
}

/**
 * Every pair on its own: `−Σ log σ(±z) / b`, plus for matching pairs, minus for others. → scalar
 *
 * @see https://arxiv.org/abs/2303.15343
 */
export function siglipLoss(input: ContrastiveInput): Tensor {
  const z = similarity("siglipLoss", input); // (g, b, b)
  const [g = 0, b = 0] = z.shape;
  const matches = input.matches ?? z.device.tensor(matchingRows(Array.from({ length: b }, (_, row) => row)), [b, b]);
  const sign = add(mul(matches, 2), -1);
  return div(neg(sum(logSigmoid(mul(sign, z)))), g * b);
}

/** 1 where rows have the same label, else 0: host values (b, b) for `matches`. */
export function matchingRows(labels: ArrayLike<number>): Float32Array {
  const b = labels.length;
  const values = new Float32Array(b * b);
  for (let i = 0; i < b; i++) for (let j = 0; j < b; j++) values[i * b + j] = labels[i] === labels[j] ? 1 : 0;
  return values;
}
