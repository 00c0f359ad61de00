import { indexSelect, type Tensor } from "@deplsr/tensor";
import type { CLIP, CLIPOptions } from "./model.ts";

/** Rows of token ids with each different one once, as short as the longest text among them. */
export interface DistinctTexts {
  /** (rows, length) ids */
  readonly ids: Int32Array;
  readonly rows: number;
  /** Columns that are left: up to the last end token. */
  readonly length: number;
  /** For each given row the number of its distinct row. */
  readonly index: Int32Array;
}

/**
 * Finds the different rows among token ids (n, contextLength) and cuts the padding off. In a batch of degradation captions
 * most texts repeat, and most columns are padding.
 */
export function distinctTexts(ids: Int32Array, contextLength: number): DistinctTexts {
  const count = ids.length / contextLength;
  if (!Number.isInteger(count)) {
    throw new RangeError(`distinctTexts: ${ids.length} ids are no rows of ${contextLength}`);
  }
  const numbers = new Map<string, number>();
  const firsts: number[] = [];
  const index = new Int32Array(count);
  let length = 1;
  for (let row = 0; row < count; row++) {
    const tokens = ids.subarray(row * contextLength, (row + 1) * contextLength);
    const key = tokens.join();
    const known = numbers.get(key);
    index[row] = known ?? firsts.length;
    if (known !== undefined) continue;
    numbers.set(key, firsts.length);
    firsts.push(row * contextLength);
    length = Math.max(length, endPosition(tokens) + 1);
  }
  const kept = new Int32Array(firsts.length * length);
  for (const [row, from] of firsts.entries()) kept.set(ids.subarray(from, from + length), row * length);
  return { ids: kept, rows: firsts.length, length, index };
}

/** Where the end token is: the first of the largest id. */
function endPosition(tokens: Int32Array): number {
  let best = 0;
  for (let i = 1; i < tokens.length; i++) if (tokens[i]! > tokens[best]!) best = i;
  return best;
}

/**
 * Text features of token ids (n, contextLength) on the host, each different text encoded once: → (n, embedDim). Equal to
 * encoding every row, in values and gradients.
 */
export function encodeDistinct(model: CLIP, ids: Int32Array, options: CLIPOptions = {}): Tensor {
  const { device } = model.logitScale;
  const distinct = distinctTexts(ids, model.config.text.contextLength);
  const rows = device.tensor(distinct.ids, [distinct.rows, distinct.length], { dtype: "i32" });
  const features = model.encodeText(rows, options);
  return indexSelect(features, 0, device.tensor(distinct.index, [distinct.index.length], { dtype: "i32" }));
}
