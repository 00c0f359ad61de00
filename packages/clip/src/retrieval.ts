import { matmul, narrow, noGrad, ShapeError, scope, type Tensor, transpose } from "@deplsr/tensor";

/**
 * How well each row finds its partner: ranks from 1, and the share of rows whose partner is among the first k. Columns that are as similar
 * as the partner stand in no order: numbers are expected ones, over all orders of theirs. A model that gives one similarity to all of b
 * columns has a recall of k / b and ranks of (b + 1) / 2, as one that guesses.
 */
export interface Retrieval {
  readonly meanRank: number;
  readonly medianRank: number;
  readonly recallAt1: number;
  readonly recallAt5: number;
  readonly recallAt10: number;
}

/** How many columns are more similar to a row than its partner, and how many others are just as similar. */
interface Place {
  readonly above: number;
  readonly ties: number;
}

/** So many similarities are on the host at a time: 16 MiB. */
const AT_ONCE = 2 ** 22;

/**
 * Retrieval of column i by row i from host logits (b, b); transpose them for the other direction.
 * @throws RangeError when there is no row, the logits are not b x b, or one of them is NaN
 */
export function retrieval(logitsPerRow: ArrayLike<number>, b: number): Retrieval {
  if (!(b > 0) || logitsPerRow.length !== b * b) {
    throw new RangeError(`retrieval: ${logitsPerRow.length} logits are not ${b} x ${b}, at least one row`);
  }
  return summary(places(logitsPerRow, b, 0));
}

/**
 * Retrieval of column i by row i from the features of both, (n, e) each, most similar by their products. Of the (n, n) similarities a block
 * of rows is made at a time, so that memory grows with n and not with its square.
 *
 * @param atOnce similarities of a block, at least one row of them; default 4 Mi
 * @throws ShapeError when the features are not of one shape (n, e), at least one row; RangeError when a similarity is NaN
 */
export async function retrievalOfFeatures(rows: Tensor, columns: Tensor, atOnce: number = AT_ONCE): Promise<Retrieval> {
  const [n = 0] = rows.shape;
  if (rows.rank !== 2 || n === 0 || `${rows.shape}` !== `${columns.shape}`) {
    throw new ShapeError(
      `retrievalOfFeatures: rows [${rows.shape.join(", ")}] and columns [${columns.shape.join(", ")}] must be (n, e), a row for each pair`,
    );
  }
  const height = Math.max(1, Math.floor(atOnce / n));
  const found: Place[] = [];
  for (let first = 0; first < n; first += height) {
    const block = narrow(rows, 0, first, Math.min(height, n - first));
    using similarities = noGrad(() => scope(() => matmul(block, transpose(columns, 0, 1))));
    found.push(...places(await similarities.data(), n, first));
  }
  return summary(found);
}

/** The places of the partners of rows `first`, `first + 1` ..., of which `logits` has (rows, b). */
function places(logits: ArrayLike<number>, b: number, first: number): Place[] {
  return Array.from({ length: logits.length / b }, (_, row) => {
    const i = first + row;
    const own = logits[row * b + i]!;
    let [above, ties] = [0, 0];
    for (let j = 0; j < b; j++) {
      const other = logits[row * b + j]!;
      if (Number.isNaN(other)) throw new RangeError(`retrieval: the logit of row ${i} and column ${j} is NaN`);
      if (j === i) continue;
      if (other > own) above++;
      else if (other === own) ties++;
    }
    return { above, ties };
  });
}

function summary(rows: readonly Place[]): Retrieval {
  const b = rows.length;
  const ranks = rows.map(({ above, ties }) => above + 1 + ties / 2).sort((x, y) => x - y);
  // The partner is equally likely at each of its ties + 1 places.
  const recall = (k: number): number =>
    rows.reduce((total, { above, ties }) => total + Math.min(1, Math.max(0, (k - above) / (ties + 1))), 0) / b;
  return {
    meanRank: ranks.reduce((total, rank) => total + rank, 0) / b,
    medianRank: (ranks[(b - 1) >> 1]! + ranks[b >> 1]!) / 2,
    recallAt1: recall(1),
    recallAt5: recall(5),
    recallAt10: recall(10),
  };
}
