import type { Expr } from "./expr.ts";
import * as E from "./expr.ts";

/** 2/√π, the slope of erf at 0. */
const TWO_OVER_SQRT_PI = 2 / Math.sqrt(Math.PI);

/**
 * The derivative of a tree by one of its leaves, symbolically. At a kink it is PyTorch's choice: 0 for `abs`, 0 for
 * rounding, one half for each side of a tie of `max` and `min`; `select` follows the branch taken.
 */
export function derivative(tree: Expr, leafIndex: number): Expr {
  const zero = E.constant(0);
  const done = new Map<Expr, Expr>();
  const d = (x: Expr): Expr => {
    const known = done.get(x);
    if (known) return known;
    const result = rule(x);
    done.set(x, result);
    return result;
  };
  const rule = (x: Expr): Expr => {
    switch (x.op) {
      case "leaf":
        return E.constant(x.index === leafIndex ? 1 : 0);
      case "neg":
        return E.neg(d(x.a));
      case "abs":
        return E.mul(d(x.a), E.sign(x.a));
      case "exp":
        return E.mul(d(x.a), x);
      case "log":
        return E.div(d(x.a), x.a);
      case "sqrt":
        return E.div(E.mul(0.5, d(x.a)), x);
      case "rsqrt":
        return E.mul(d(x.a), E.mul(-0.5, E.mul(x, E.mul(x, x))));
      case "sin":
        return E.mul(d(x.a), E.cos(x.a));
      case "cos":
        return E.mul(d(x.a), E.neg(E.sin(x.a)));
      case "tanh":
        return E.mul(d(x.a), E.sub(1, E.mul(x, x)));
      case "sigmoid":
        // 1 − σ(x) as σ(−x): no cancellation for large x.
        return E.mul(d(x.a), E.mul(x, E.sigmoid(E.neg(x.a))));
      case "erf":
        return E.mul(d(x.a), E.mul(TWO_OVER_SQRT_PI, E.exp(E.neg(E.mul(x.a, x.a)))));
      case "add":
        return E.add(d(x.a), d(x.b));
      case "sub":
        return E.sub(d(x.a), d(x.b));
      case "mul":
        return E.add(E.mul(d(x.a), x.b), E.mul(x.a, d(x.b)));
      case "div":
        return E.div(E.sub(d(x.a), E.mul(x, d(x.b))), x.b);
      case "max":
        return tieSplit(E.gt(x.a, x.b), x.a, x.b, d(x.a), d(x.b));
      case "min":
        return tieSplit(E.lt(x.a, x.b), x.a, x.b, d(x.a), d(x.b));
      case "pow":
        return E.add(E.mul(d(x.a), byBase(x.a, x.b)), E.mul(d(x.b), byExponent(x, x.a, x.b)));
      case "select":
        return E.select(x.c, d(x.a), d(x.b));
      case "cast":
        return x.dtype === "f32" && x.a.dtype === "f16"
          ? d(x.a)
          : x.a.dtype === "f32" && x.dtype === "f16"
            ? d(x.a)
            : zero;
      default:
        return zero;
    }
  };
  return d(tree);
}

/** `b · a^(b−1)`, which for b = 0 is 0 at a = 0 too. */
function byBase(a: Expr, b: Expr): Expr {
  return E.select(E.eq(b, 0), 0, E.mul(b, E.pow(a, E.sub(b, 1))));
}

/** `y · log a`, which for a power that is 0 is 0 at a = 0 too. */
function byExponent(y: Expr, a: Expr, b: Expr): Expr {
  return E.select(E.and(E.eq(a, 0), E.ge(b, 0)), 0, E.mul(y, E.log(a)));
}

function tieSplit(aWins: Expr, a: Expr, b: Expr, da: Expr, db: Expr): Expr {
  const both = E.mul(0.5, E.add(da, db));
  return E.select(E.eq(a, b), both, E.select(aWins, da, db));
}
