import { clipLoss, matchingRows, siglipLoss } from "@deplsr/clip";
import { add, type Device, detach, mul, permute, type Tensor } from "@deplsr/tensor";
import type { SrCLIPOutput } from "./features.ts";
import type { ContrastiveKind } from "./srclip-config.ts";

/** Weights of the losses of content, degradation and single degradations in V2. */
export const SRCLIP_LOSS_WEIGHTS: readonly [number, number, number] = [0.2, 0.3, 0.5];

/** Which texts of a batch are equal, for losses that do not count equal texts as negatives. */
export interface TextMatches {
  /** (b, b) of 0 and 1 */
  readonly caption: Tensor;
  /** (b, b) */
  readonly degradation: Tensor;
  /** (kinds, b, b) */
  readonly fine: Tensor | null;
}

/** What the total is made of, scalars. */
export interface SrCLIPLoss {
  readonly contrastive: Tensor;
  readonly degradation: Tensor;
  /** Mean over the kinds; null in V1. */
  readonly fine: Tensor | null;
  readonly total: Tensor;
}

/** How the losses are computed. */
export interface SrCLIPLossOptions {
  readonly kind: ContrastiveKind;
  /** Weights of content, degradation and single degradations; default 0.2, 0.3, 0.5 with single degradations, else 1, 1. */
  readonly weights?: readonly number[];
  /** Off by default, as in the reference, where equal texts of different images push each other away. */
  readonly matches?: TextMatches;
}

/**
 * The losses of a batch: content against captions, degradation against its description, each single degradation against its
 * own text.
 *
 * @throws Error when images or texts were not given to the forward pass.
 */
export function srclipLoss(
  { image, text, logitScale, logitBias }: SrCLIPOutput,
  options: SrCLIPLossOptions,
): SrCLIPLoss {
  if (!image?.degradation || !text) throw new Error("srclipLoss: needs features of images, with control, and of texts");
  const { kind, matches } = options;
  const compare = (a: Tensor, b: Tensor, same: Tensor | null | undefined): Tensor => {
    const input = { image: a, text: b, logitScale, ...(same ? { matches: same } : {}) };
    return kind === "siglip" ? siglipLoss({ ...input, logitBias }) : clipLoss(input);
  };
  const contrastive = compare(image.content, text.caption, matches?.caption);
  const degradation = compare(image.degradation, text.degradation, matches?.degradation);
  const hasFine = image.fine !== null && text.fine !== null;
  const [a = 1, b = 1, c = 1] = options.weights ?? (hasFine ? SRCLIP_LOSS_WEIGHTS : []);
  const sum = add(mul(contrastive, a), mul(degradation, b));
  if (image.fine === null || text.fine === null) return { contrastive, degradation, fine: null, total: sum };
  const byKind = (x: Tensor): Tensor => permute(x, [1, 0, 2]); // (kinds, b, e)
  const fine = compare(byKind(image.fine), byKind(text.fine), matches?.fine);
  return { contrastive, degradation, fine, total: add(sum, mul(fine, c)) };
}

/** The losses as numbers to look at, which stay when `backward` gives those back that have gradients. */
export function detachedLoss({ contrastive, degradation, fine, total }: SrCLIPLoss): SrCLIPLoss {
  return {
    contrastive: detach(contrastive),
    degradation: detach(degradation),
    fine: fine && detach(fine),
    total: detach(total),
  };
}

/** Which texts are equal among token ids (b, rows, contextLength) on the host, rows as in `SrCLIPInput`. */
export function textMatches(device: Device, ids: Int32Array, rows: number, contextLength: number): TextMatches {
  const b = ids.length / (rows * contextLength);
  if (!Number.isInteger(b)) {
    throw new RangeError(
      `textMatches: ${ids.length} token ids are not ${rows} texts of ${contextLength} for each image`,
    );
  }
  const numbers = new Map<string, number>();
  const label = (item: number, row: number): number => {
    const at = (item * rows + row) * contextLength;
    const key = ids.subarray(at, at + contextLength).join();
    const known = numbers.get(key) ?? numbers.size;
    numbers.set(key, known);
    return known;
  };
  const matchesOf = (row: number): Float32Array =>
    matchingRows(Array.from({ length: b }, (_, item) => label(item, row)));
  const fine = new Float32Array((rows - 2) * b * b);
  for (let row = 2; row < rows; row++) fine.set(matchesOf(row), (row - 2) * b * b);
  return {
    caption: device.tensor(matchesOf(0), [b, b]),
    degradation: device.tensor(matchesOf(1), [b, b]),
    fine: rows > 2 ? device.tensor(fine, [rows - 2, b, b]) : null,
  };
}
