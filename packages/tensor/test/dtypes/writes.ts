import * as T from "../../src/index.ts";
import { ndarray } from "../../src/testing.ts";
import { type Case, type Entry, near, typed } from "./case.ts";
import { DTYPES, isFloat, small, type Typed } from "./numbers.ts";

/** One step on every pair of a parameter's and a gradient's dtype, the moments f32; and with moments of another. */
const adamCases = (step: (update: Parameters<typeof T.adamStep>[0]) => void): Case[] =>
  DTYPES.flatMap((param) =>
    DTYPES.flatMap((grad) =>
      (["f32", "f16"] as const).map((moment): Case => {
        const [p, g] = [small(param, [5]), small(grad, [5], 2)];
        const m: Typed = { dtype: moment, shape: [5], data: new Float64Array(5) };
        const fits = isFloat(param) && isFloat(grad) && moment === "f32";
        const run = (param: T.Tensor, grad: T.Tensor, expAvg: T.Tensor, expAvgSq: T.Tensor): T.Tensor => {
          step({
            param,
            grad,
            expAvg,
            expAvgSq,
            lr: 0.25,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weightDecay: 0,
            decoupled: false,
            step: 1,
          });
          return param;
        };
        // The first step is lr · sign(g).
        const stepped = ndarray(
          [5],
          p.data.map((value, i) => value - 0.25 * Math.sign(g.data[i]!)),
        );
        return {
          name: `${param}, gradient ${grad}, moments ${moment}`,
          inputs: [p, g, m, { ...m }],
          run: run as Case["run"],
          right: fits ? typed(stepped, param) : "refused",
          ...near(param),
        };
      }),
    ),
  );

const assignCases: Entry = () =>
  DTYPES.flatMap((target) =>
    DTYPES.map((value): Case => {
      const [x, y] = [small(target, [3]), small(value, [3], 2)];
      const run = (x: T.Tensor, y: T.Tensor): T.Tensor => {
        T.assign(x, y);
        return x;
      };
      return {
        name: `${target} from ${value}`,
        inputs: [x, y],
        run: run as Case["run"],
        right: target === value ? y : "refused",
      };
    }),
  );

/** What writes to a tensor. */
export const writes: Readonly<Record<string, Entry>> = {
  adamStep: () => adamCases(T.adamStep),
  adamSteps: () => adamCases((update) => T.adamSteps([update])),
  assign: assignCases,
};
