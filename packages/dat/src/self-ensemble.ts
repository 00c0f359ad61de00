import { replaced } from "@deplsr/nn";
import { add, flip, mul, type Tensor, transient, transpose } from "@deplsr/tensor";

/** Axes to flip, and whether to exchange height and width afterwards. */
type Turn = readonly [flips: readonly number[], transposed: boolean];

const TURNS: readonly Turn[] = [false, true].flatMap((transposed) =>
  [[], [3], [2], [2, 3]].map((flips): Turn => [flips, transposed]),
);

function turn(x: Tensor, [flips, transposed]: Turn): Tensor {
  const flipped = flips.length > 0 ? flip(x, flips) : x;
  return transposed ? transpose(flipped, 2, 3) : flipped;
}

function turnBack(y: Tensor, [flips, transposed]: Turn): Tensor {
  const upright = transposed ? transpose(y, 2, 3) : y;
  return flips.length > 0 ? flip(upright, flips) : upright;
}

/**
 * The mean of `forward` over the eight flips and transpositions of `x (b, c, h, w)`, each result turned back.
 * @see BasicSR's `test_selfensemble`
 */
export function selfEnsemble(x: Tensor, forward: (x: Tensor) => Tensor): Tensor {
  return transient(() => {
    let sum: Tensor | undefined;
    for (const way of TURNS) {
      // A share of its own, also where `forward` returns what it was given.
      const share = transient(() => mul(turnBack(forward(turn(x, way)), way), 1 / TURNS.length));
      sum = sum ? replaced(sum, add(sum, share)) : share;
    }
    return sum!;
  });
}
