import type { Shape } from "../../src/index.ts";
import { numel } from "../../src/shape.ts";
import { seeded } from "../../src/testing.ts";
import type { Drawn, Maker, Pool } from "./draw.ts";
import { MOVES } from "./moves.ts";
import { EXACT } from "./pointwise.ts";
import { REAL } from "./real.ts";
import { EXACT as REDUCTIONS } from "./reductions.ts";
import { constant, gradientsOf, Invalid, reshaped, type Shadow, total, zip } from "./shadow.ts";

/** Values of several shapes and types, no two of them equal: nothing ties, so every op has a slope. */
class Values implements Pool {
  readonly half = false;
  readonly #uniform = seeded(7);
  readonly #values: Shadow[];

  constructor() {
    this.#uniform();
    const make = (shape: Shape, dtype: "f32" | "i32" | "bool"): Shadow => {
      const data = Float64Array.from({ length: numel(shape) }, () =>
        dtype === "f32" ? 4 * this.#uniform() - 2 : this.random(2),
      );
      return dtype === "f32" ? constant(shape, dtype, data, {}) : constant(shape, dtype, data);
    };
    const shapes: Shape[] = [[], [3], [2, 3], [3, 2], [4, 1, 3], [2, 2, 2, 2]];
    this.#values = [...shapes.flatMap((shape) => [make(shape, "f32"), make(shape, "bool")]), make([3], "i32")];
  }

  random(count: number): number {
    return Math.floor(this.#uniform() * count);
  }

  chance(p: number): boolean {
    return this.#uniform() < p;
  }

  at(id: number): Shadow {
    return this.#values[id]!;
  }

  find(fits: (x: Shadow) => boolean = () => true): number | undefined {
    const ids = [...this.#values.keys()].filter((id) => fits(this.at(id)));
    return ids.length === 0 ? undefined : ids[this.random(ids.length)];
  }
}

/** A sum of everything that a call gives, with rough weights. */
function weighed({ call }: Drawn, operands: readonly Shadow[]): Shadow {
  const results = [call.shadow(...operands)].flat() as Shadow[];
  return results
    .filter((y) => y.dtype === "f32")
    .map((y) => {
      const weights = y.data.map((_, i) => Math.cos(1 + 3 * i));
      const product = zip("f32", [y, constant(y.shape, "f32", weights)], (a, b) => a! * b!, [(_, b) => b!]);
      return reshaped(total(product, [...y.shape.keys()]), []);
    })
    .reduce((a, b) => zip("f32", [a, b], (x, y) => x! + y!, [() => 1, () => 1]));
}

function errorOf(drawn: Drawn, pool: Values): string | undefined {
  const operands = drawn.args.map((id) => pool.at(id));
  const results = [drawn.call.shadow(...operands)].flat() as Shadow[];
  if (!results.some((y) => y.dtype === "f32" && y.edges.length > 0)) return undefined;
  const gradients = gradientsOf(weighed(drawn, operands));
  for (const x of new Set(operands)) {
    if (!x.leaf) continue;
    const direction = x.data.map((_, i) => (i % 2 ? 1 : -0.5));
    const moved = (h: number): number => {
      const other = constant(
        x.shape,
        x.dtype,
        x.data.map((v, i) => v + h * direction[i]!),
        {},
      );
      return weighed(
        drawn,
        operands.map((own) => (own === x ? other : own)),
      ).data[0]!;
    };
    const slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
    const own = (gradients.get(x)?.sum ?? new Float64Array()).reduce((sum, g, i) => sum + g * direction[i]!, 0);
    if (!(Math.abs(own - slope) < 1e-6 * (1 + Math.abs(slope))))
      return `${drawn.call.text("a", "b", "c")}: ${own}, by differences ${slope}`;
  }
  return undefined;
}

/** Ops whose shadow has another slope than central differences of it. */
export function slopeErrors(): string[] {
  const pool = new Values();
  const errors: string[] = [];
  const makers: Maker[] = [...EXACT, ...REAL.pointwise, ...MOVES, ...REDUCTIONS, ...REAL.rows];
  for (const maker of makers)
    for (let i = 0; i < 20; i++) {
      const drawn = maker(pool);
      try {
        const error = drawn && errorOf(drawn, pool);
        if (error) errors.push(error);
      } catch (error) {
        if (!(error instanceof Invalid)) throw error;
      }
    }
  return errors;
}
