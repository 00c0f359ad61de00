import { describe, expect, it } from "vitest";
import * as T from "../src/index.ts";
import { seeded, testDevice } from "../src/testing.ts";

const device = await testDevice();

const SIZES: readonly (readonly number[])[] = [
  [3],
  [64],
  [5, 13],
  [],
  [1],
  [0],
  [128],
  [2, 3, 4],
  [63],
  [7],
  [300],
  [4, 16],
];
const SETTINGS = { lr: 0.01, beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0.1 };

interface Trained {
  readonly param: T.Tensor;
  readonly expAvg: T.Tensor;
  readonly expAvgSq: T.Tensor;
  steps: number;
}

/** What is in a lot, of a tensor's values. */
function lotOf(x: T.Tensor): object | undefined {
  return x.view().storage.lot;
}

function parameters(random: () => number): Trained[] {
  const params = SIZES.map((shape) => {
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => 2 * random() - 1);
    return T.requireGrad(device.tensor(values, shape));
  });
  const [expAvg, expAvgSq] = [T.zeroMoments(params), T.zeroMoments(params)];
  return params.map((param, i) => ({ param, expAvg: expAvg[i]!, expAvgSq: expAvgSq[i]!, steps: 0 }));
}

/** Gradients of all that take part, each its parameter times a number. */
function gradientsOf(trained: readonly Trained[], factors: readonly number[]): Map<T.Tensor, T.Tensor> {
  const terms = trained.map(({ param }, i) => T.sum(T.mul(T.square(param), factors[i]!)));
  return T.backward(terms.reduce((a, b) => T.add(a, b)));
}

function updatesOf(
  trained: readonly Trained[],
  gradients: Map<T.Tensor, T.Tensor>,
  lr: (i: number) => number,
): T.AdamStep[] {
  return trained.flatMap((each, i) => {
    const grad = gradients.get(each.param);
    if (!grad) return [];
    each.steps++;
    const { param, expAvg, expAvgSq, steps: step } = each;
    return [{ param, grad, expAvg, expAvgSq, ...SETTINGS, lr: lr(i), decoupled: true, step }];
  });
}

/** What a program does to a parameter before a step; what it returns has to stay as it is. */
const EVENTS: readonly ((param: T.Tensor) => T.Tensor | undefined)[] = [
  (param) => T.detach(param), // held until the end
  (param) => T.reshape(T.detach(param), [-1]),
  (param) => T.mul(param, 3), // pending
  (param) => {
    T.assign(param, T.mul(T.detach(param), 0.5));
    return undefined;
  },
  (param) => {
    using held = T.detach(param);
    held.view(); // until now
    return undefined;
  },
];

describe("many parameters at once", () => {
  it.each([1, 2, 3, 4, 5, 6])(
    "have the same bits as one at a time, whatever else holds or writes them: %i",
    async (seed) => {
      const random = seeded(seed);
      const draw = (n: number): number => Math.floor(random() * n);
      const together = parameters(seeded(seed));
      const alone = parameters(seeded(seed));
      const held: [T.Tensor, T.Tensor][] = [];
      for (let step = 0; step < 12; step++) {
        for (let i = draw(4); i > 0; i--) {
          const [at, event] = [draw(SIZES.length), EVENTS[draw(EVENTS.length)]!];
          const [one, other] = [event(together[at]!.param), event(alone[at]!.param)];
          if (one && other) held.push([one, other]);
        }
        const factors = SIZES.map(() => random());
        const takesPart = SIZES.map(() => step % 4 !== 1 || random() > 0.2);
        const groups = draw(2) === 0 ? 1 : 2;
        const lr = (i: number): number => (i < 5 && groups === 2 ? 0.02 : 0.01);
        const some = (all: readonly Trained[]): Trained[] => all.filter((_, i) => takesPart[i]!);
        T.adamSteps(updatesOf(some(together), gradientsOf(some(together), factors), lr));
        for (const update of updatesOf(some(alone), gradientsOf(some(alone), factors), lr)) T.adamStep(update);
      }
      for (const [i, one] of together.entries()) {
        for (const target of ["param", "expAvg", "expAvgSq"] as const) {
          expect(await one[target].data()).toEqual(await alone[i]![target].data());
        }
      }
      for (const [one, other] of held) expect(await one.data()).toEqual(await other.data());
    },
  );

  it("lie side by side after the first step, and stay where they are", () => {
    const trained = parameters(seeded(7));
    const step = (): void => {
      T.scope(() =>
        T.adamSteps(
          updatesOf(
            trained,
            gradientsOf(
              trained,
              SIZES.map(() => 1),
            ),
            () => 0.1,
          ),
        ),
      );
    };
    step();
    const lots = (): (object | undefined)[] =>
      trained.filter(({ param }) => param.size > 0).map(({ param }) => lotOf(param));
    const first = lots();
    expect(new Set(first).size).toBe(1);
    expect(first[0]).toBeDefined();
    step();
    expect(lots()).toEqual(first);
    // One that goes its own way leaves the others where they are; when most do, they are written to another lot.
    T.assign(trained[1]!.param, device.zeros([64]));
    step();
    expect(lots().filter((lot) => lot !== first[0]).length).toBe(1);
    for (const { param } of trained) T.assign(param, T.mul(T.detach(param), 2));
    step();
    expect(new Set(lots()).size).toBe(1);
    expect(lots()[0]).not.toBe(first[0]);
  });

  it("give their memory back with the last of them", async () => {
    const before = device.memory().liveBuffers;
    const trained = parameters(seeded(8));
    T.scope(() =>
      T.adamSteps(
        updatesOf(
          trained,
          gradientsOf(
            trained,
            SIZES.map(() => 1),
          ),
          () => 0.1,
        ),
      ),
    );
    for (const { param, expAvg, expAvgSq } of trained) for (const x of [param, expAvg, expAvgSq]) x.dispose();
    expect(device.memory().liveBuffers).toBe(before);
  });

  it("refuse one that is given twice", () => {
    const [a, b, c, d] = [0, 1, 2, 3].map(() => device.ones([2])) as [T.Tensor, T.Tensor, T.Tensor, T.Tensor];
    const update = { ...SETTINGS, decoupled: false, step: 1, grad: d };
    const twice = { ...update, param: a, expAvg: b, expAvgSq: c };
    const own = "adamStep: parameters and moments are tensors of their own, got f32[2] twice";
    expect(() => T.adamSteps([twice, twice])).toThrow(own);
    expect(() => T.adamSteps([{ ...twice, expAvgSq: a }])).toThrow(own);
  });

  it("may be the gradients of each other", async () => {
    const trained = parameters(seeded(9));
    T.adamSteps(
      updatesOf(
        trained,
        gradientsOf(
          trained,
          SIZES.map(() => 1),
        ),
        () => 0.1,
      ),
    );
    const expected = await trained[0]!.param.data();
    const rest = trained.slice(6);
    const swapped = new Map(rest.map(({ param }) => [param, param]));
    const updates = updatesOf(rest, swapped, () => 0.1);
    const alone = updates.map((update) => ({
      ...{ ...update, param: T.clone(T.detach(update.param)), grad: T.clone(update.grad) },
      ...{ expAvg: T.clone(update.expAvg), expAvgSq: T.clone(update.expAvgSq) },
    }));
    T.adamSteps(updates);
    for (const [i, update] of alone.entries()) {
      T.adamStep(update);
      expect(await rest[i]!.param.data()).toEqual(await update.param.data());
    }
    expect(await trained[0]!.param.data()).toEqual(expected);
  });
});
