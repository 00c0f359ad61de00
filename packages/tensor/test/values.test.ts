import { describe, expect, it, vi } from "vitest";
import * as T from "../src/index.ts";
import { testDevice } from "../src/testing.ts";

const device = await testDevice();
const numbers = async (x: T.Tensor): Promise<number[]> => [...(await x.data())];
const square = (): T.Tensor => device.tensor([1, 2, 3, 4], [2, 2]);

describe("an operand that is there twice", () => {
  /** Chains of doublings: `add(h, h)` of a pending h, through every depth at which trees are absorbed, stored or too large. */
  const doubled: Readonly<Record<string, (h: T.Tensor) => T.Tensor>> = {
    "add(h, h)": (h) => T.add(h, h),
    "add(h, dropout(h, 0)), which returns h": (h) => T.add(h, T.dropout(h, { p: 0, rng: new T.Rng(0) })),
    "sub(mul(h, 3), h)": (h) => T.sub(T.mul(h, 3), h),
    "where(h > 0, h + h, h)": (h) => T.where(T.gt(h, 0), T.add(h, h), h),
    "add of a view of h to h": (h) => T.add(T.reshape(T.reshape(h, [1, h.size]), h.shape), h),
    "cat of h and h": (h) => T.sum(T.stack([h, h], 0), { dim: 0 }),
  };
  const cases = Object.entries(doubled);
  it.each(cases)("%s is read before it is given back", async (_, double) => {
    for (const depth of [1, 3, 6, 20]) {
      for (const dispose of [false, true]) {
        let y = device.tensor([1, -1, 2]);
        for (let i = 0; i < depth; i++) {
          const next = double(y);
          if (dispose) y.dispose();
          y = next;
        }
        const factor = 2 ** depth;
        const expected = _.startsWith("where") ? [factor, -1, 2 * factor] : [factor, -factor, 2 * factor];
        expect(await numbers(y)).toEqual(expected);
      }
    }
  });

  it("gets both parts of its gradient", async () => {
    for (const depth of [1, 3, 6, 12]) {
      const x = T.requireGrad(device.tensor([1, 3]));
      let h = x;
      for (let i = 0; i < depth; i++) h = T.add(T.mul(h, h), T.mul(h, 0));
      // x^(2^depth) has the slope 2^depth x^(2^depth - 1): exact at x = 1.
      expect((await T.backward(T.sum(h)).get(x)!.data())[0]).toBe(2 ** depth);
    }
  });
});

describe("a write", () => {
  const captures: Readonly<Record<string, (x: T.Tensor) => T.Tensor>> = {
    reshape: (x) => T.reshape(x, [4]),
    "a view of a view": (x) => T.slice(T.transpose(T.reshape(x, [1, 2, 2]), 1, 2), [null, [0, 1]]),
    permute: (x) => T.transpose(x, 0, 1),
    slice: (x) => T.slice(x, [[1, 2]]),
    expand: (x) => T.expand(T.unsqueeze(x, 0), [3, 2, 2]),
    flip: (x) => T.flip(x, 1),
    split: (x) => T.split(x, 1, 0)[1]!,
    detach: (x) => T.detach(T.requireGrad(x)),
    clone: T.clone,
    "a pending result": (x) => T.add(T.mul(x, 10), 1),
    "a pending result of a view": (x) => T.exp(T.sub(T.transpose(x, 0, 1), 3)),
    "a product": (x) => T.matmul(x, T.transpose(x, 0, 1)),
    softmax: (x) => T.softmax(x, 0),
    sum: (x) => T.sum(x, { dim: 0 }),
    gather: (x) => T.indexSelect(x, 0, device.tensor(Int32Array.of(1, 1))),
  };
  const writers: Readonly<Record<string, (x: T.Tensor) => readonly number[]>> = {
    "assign of new numbers": (x) => {
      T.assign(x, device.tensor([7, 8, 9, 10], [2, 2]));
      return [7, 8, 9, 10];
    },
    "assign of its transpose": (x) => {
      T.assign(x, T.transpose(x, 0, 1));
      return [1, 3, 2, 4];
    },
    "assign of itself turned round": (x) => {
      T.assign(x, T.flip(x, [0, 1]));
      return [4, 3, 2, 1];
    },
    "assign of a row of itself": (x) => {
      T.assign(x, T.expand(T.slice(x, [[1, 2]]), [2, 2]));
      return [3, 4, 3, 4];
    },
    "assign of a result of itself": (x) => {
      T.assign(x, T.add(T.mul(x, x), x));
      return [2, 6, 12, 20];
    },
    "assign of itself": (x) => {
      T.assign(x, x);
      return [1, 2, 3, 4];
    },
    adamStep: (x) => {
      const [expAvg, expAvgSq] = [device.zeros([2, 2]), device.zeros([2, 2])];
      const settings = { lr: 0.5, beta1: 0.9, beta2: 0.999, eps: 0, weightDecay: 0, decoupled: false, step: 1 };
      T.adamStep({ param: x, grad: device.ones([2, 2]), expAvg, expAvgSq, ...settings });
      return [0.5, 1.5, 2.5, 3.5];
    },
  };
  for (const [writer, write] of Object.entries(writers)) {
    it.each(Object.entries(captures))(`${writer} is not seen by what was made before: %s`, async (_, capture) => {
      const expected = await numbers(capture(square()));
      const x = square();
      const captured = capture(x);
      const read = captured.data();
      const early = x.data();
      const after = write(x);
      const late = captured.data();
      expect(await numbers(captured)).toEqual(expected);
      expect([...(await read)]).toEqual(expected);
      expect([...(await late)]).toEqual(expected);
      expect([...(await early)]).toEqual([1, 2, 3, 4]);
      const now = await numbers(x);
      for (const [i, value] of after.entries()) expect(now[i]).toBeCloseTo(value, 5);
    });
  }

  it("of a result of the tensor itself stays where the tensor lies, unless somebody else holds that", async () => {
    const place = (x: T.Tensor): unknown => x.view().storage;
    const turned = (x: T.Tensor): T.Tensor => {
      using zeros = T.eq(x, 0);
      return T.cast(zeros, x.dtype);
    };
    for (const dtype of ["f32", "i32", "u32"] as const) {
      const x = device.tensor([0, 1, 0, 1, 1, 0, 1], [7], { dtype });
      const [home, y] = [place(x), turned(x)];
      T.assign(x, y);
      expect(place(x) === home).toBe(true);
      expect([await numbers(x), await numbers(y)]).toEqual([
        [1, 0, 1, 0, 0, 1, 0],
        [1, 0, 1, 0, 0, 1, 0],
      ]);
      const held = T.reshape(x, [1, 7]);
      T.assign(x, turned(x));
      expect(place(x) === home).toBe(false);
      expect(await numbers(held)).toEqual([1, 0, 1, 0, 0, 1, 0]);
      expect(await numbers(x)).toEqual([0, 1, 0, 1, 1, 0, 1]);
    }
    const x = square();
    const home = place(x);
    T.assign(x, T.mul(device.tensor([2, 3, 4, 5], [2, 2]), 2));
    expect(place(x) === home).toBe(true);
    expect(await numbers(x)).toEqual([4, 6, 8, 10]);
  });

  it("is seen by what is made after it, and a second one too", async () => {
    const x = square();
    const old = T.mul(x, 1);
    T.assign(x, T.add(x, 1));
    const middle = T.mul(x, 1);
    T.assign(x, T.add(x, 1));
    expect(await numbers(T.add(x, 0))).toEqual([3, 4, 5, 6]);
    expect([await numbers(old), await numbers(middle)]).toEqual([
      [1, 2, 3, 4],
      [2, 3, 4, 5],
    ]);
  });

  it("leaves the tensor alone whose value was taken, and the other way round", async () => {
    const [x, y] = [square(), device.tensor([5, 6, 7, 8], [2, 2])];
    T.assign(x, y);
    T.assign(y, T.add(y, 1));
    expect(await numbers(x)).toEqual([5, 6, 7, 8]);
    T.assign(x, T.add(x, 10));
    expect([await numbers(x), await numbers(y)]).toEqual([
      [15, 16, 17, 18],
      [6, 7, 8, 9],
    ]);
  });

  it("of an index takes its host copy away, and its plans", async () => {
    const table = T.requireGrad(device.tensor([1, 2, 3], [3, 1]));
    const index = device.tensor(Int32Array.of(0, 0));
    const before = T.sum(T.embedding(table, index));
    T.assign(index, device.tensor(Int32Array.of(2, 1)));
    const after = T.sum(T.embedding(table, index));
    expect(await numbers(T.backward(before).get(table)!)).toEqual([2, 0, 0]);
    expect(await numbers(T.backward(after).get(table)!)).toEqual([0, 1, 1]);
    expect(await after.item()).toBe(5);
  });

  const views: Readonly<Record<string, (x: T.Tensor) => T.Tensor>> = {
    reshape: (x) => T.reshape(x, [4]),
    permute: (x) => T.permute(x, [1, 0]),
    transpose: (x) => T.transpose(x, 0, 1),
    slice: (x) => T.slice(x, [[0, 1]]),
    narrow: (x) => T.narrow(x, 1, 0, 1),
    select: (x) => T.select(x, 0, 0),
    expand: (x) => T.expand(x, [3, 2, 2]),
    flip: (x) => T.flip(x, 0),
    squeeze: (x) => T.squeeze(T.clone(T.unsqueeze(x, 0)), 0),
    unsqueeze: (x) => T.unsqueeze(x, 0),
    flatten: (x) => T.flatten(x),
    rearrange: (x) => T.rearrange(x, "a b -> b a"),
    detach: (x) => T.detach(T.requireGrad(x)),
    split: (x) => T.split(x, 1, 0)[0]!,
  };
  it.each(Object.entries(views))("to a view is refused, whatever its layout: %s", async (op, view) => {
    const x = square();
    const target = view(x);
    for (const settle of [false, true]) {
      if (settle) target.dense();
      expect(() => T.assign(target, device.zeros(target.shape))).toThrow(
        `assign: the target f32[${target.shape.join(", ")}] is a view (made by \`${op}\`)`,
      );
    }
    const [grad, expAvg, expAvgSq] = [0, 1, 2].map(() => device.zeros(target.shape)) as [T.Tensor, T.Tensor, T.Tensor];
    const settings = { lr: 1, beta1: 0, beta2: 0, eps: 1, weightDecay: 0, decoupled: false, step: 1 };
    expect(() => T.adamStep({ param: target, grad, expAvg, expAvgSq, ...settings })).toThrow("is a view");
    expect(() => T.adamStep({ param: grad, grad, expAvg: target, expAvgSq, ...settings })).toThrow("is a view");
    expect(() => T.adamStep({ param: grad, grad, expAvg, expAvgSq: expAvg, ...settings })).toThrow(
      "are tensors of their own",
    );
    expect(await numbers(x)).toEqual([1, 2, 3, 4]);
  });

  it("to a result is refused while its gradient is to come, and makes a plain tensor of it afterwards", async () => {
    const w = T.requireGrad(device.tensor([1, 2]));
    const h = T.keep(T.mul(w, 2));
    expect(() => T.assign(h, device.zeros([2]))).toThrow(
      "assign: the target f32[2] is the result of `mul`, whose gradient is still to come",
    );
    T.backward(T.sum(h));
    T.assign(h, device.tensor([5, 6]));
    expect(h.requiresGrad).toBe(false);
    expect(await numbers(T.backward(T.sum(T.mul(w, h))).get(w)!)).toEqual([5, 6]);
  });

  it("between devices is refused", async () => {
    const other = await T.Device.request({ backend: "cpu", threads: 1 });
    expect(() => T.assign(square(), other.zeros([2, 2]))).toThrow("assign: operands are on two devices");
    other.destroy();
  });

  it("to what was disposed, or from it, is refused", () => {
    const [x, y] = [square(), square()];
    x.dispose();
    expect(() => T.assign(x, y)).toThrow("assign: x f32[2, 2] was disposed");
    expect(() => T.assign(y, x)).toThrow("assign: x f32[2, 2] was disposed");
  });

  it("of many steps makes no new buffers where others hold the old values", async () => {
    const own = await T.Device.request();
    const x = own.ones([300]);
    const step = (): void => {
      T.scope(() => {
        const view = T.reshape(x, [3, 100]);
        T.assign(x, T.add(x, T.sum(view)));
      });
    };
    for (let i = 0; i < 3; i++) step();
    await own.sync();
    const before = own.memory();
    for (let i = 0; i < 10; i++) step();
    await own.sync();
    expect(own.memory().createdBuffers).toBe(before.createdBuffers);
    expect(own.memory().liveBuffers).toBe(before.liveBuffers);
    own.destroy();
  });
});

describe("who lets go", () => {
  it("a tensor that is disposed takes nothing from those who took it in", async () => {
    const x = device.tensor([1, 2, 3]);
    const [pending, view] = [T.add(x, 1), T.flip(x, 0)];
    const both = T.mul(pending, T.add(view, pending));
    for (const tensor of [x, pending, view]) tensor.dispose();
    // What takes the memory next.
    const noise = device.full([3], 99);
    expect(await numbers(both)).toEqual([2 * 5, 3 * 5, 4 * 5]);
    noise.dispose();
  });

  it("an alias and its tensor are disposed of one by one", async () => {
    const x = T.requireGrad(device.tensor([1, 2]));
    const other = T.detach(x);
    x.dispose();
    expect(await numbers(other)).toEqual([1, 2]);
  });

  it("everything goes when all have let go", async () => {
    const own = await T.Device.request();
    await own.sync();
    const before = own.memory().liveBuffers;
    const x = own.tensor([1, 2, 3]);
    const y = T.mul(T.add(x, T.flip(x, 0)), x);
    const view = T.reshape(y, [3, 1]);
    T.assign(x, T.add(x, 1));
    for (const tensor of [x, view, y]) tensor.dispose();
    // Those that have no name here: add(x, …), flip(x), add(x, 1) go with the collector.
    T.scope(() => {
      const z = own.tensor([1, 2, 3]);
      const w = T.requireGrad(own.tensor([4, 5, 6]));
      T.assign(z, T.add(z, T.mul(w, w)));
      T.backward(T.sum(T.mul(T.mul(w, z), T.transpose(T.reshape(w, [1, 3]), 0, 1))));
    });
    const left = own.memory().liveBuffers - before;
    expect(left).toBeLessThanOrEqual(3);
    own.destroy();
  });
});

describe("keep", () => {
  it("takes effect at once, and outlives a scope that throws", async () => {
    let kept: T.Tensor | undefined;
    expect(() =>
      T.scope(() => {
        T.scope(() => {
          kept = T.keep(T.mul(device.tensor([1, 2]), 3));
        });
        throw new Error("no room, say");
      }),
    ).toThrow("no room, say");
    expect(await numbers(kept!)).toEqual([3, 6]);
    kept!.dispose();
  });

  it("takes a tensor out of an outer scope from within an inner one", async () => {
    const own = await T.Device.request();
    const kept = T.scope(() => {
      const x = own.tensor([5]);
      T.scope(() => T.keep(x));
      return [x];
    })[0]!;
    expect(await numbers(kept)).toEqual([5]);
    kept.dispose();
    expect(own.memory().liveBuffers).toBe(0);
    own.destroy();
  });

  it("makes a plan of a gather good for the next scope too", async () => {
    const table = T.requireGrad(device.tensor([10, 20, 30], [3, 1]));
    const index = device.tensor(Int32Array.of(0, 2));
    const work = (): T.Tensor => T.backward(T.sum(T.embedding(table, index))).get(table)!;
    expect(() =>
      T.scope(() => {
        work();
        throw new Error("no room, say");
      }),
    ).toThrow("no room, say");
    expect(await numbers(T.scope(work))).toEqual([1, 0, 1]);
  });
});

describe("outside of scopes", () => {
  it("a loop that awaits its loss keeps its memory, as the collector is asked for what was forgotten", async () => {
    const own = await T.Device.request();
    // 4 MiB a step: 600 steps would take 2.4 GiB.
    let most = 0;
    for (let step = 0; step < 600; step++) {
      const x = own.full([1024, 1024], step);
      expect(await T.sum(T.slice(x, [[0, 1]])).item()).toBe(1024 * step);
      most = Math.max(most, own.memory().liveBytes);
    }
    expect(most).toBeLessThan(600 * 2 ** 20);
    own.destroy();
  });

  it("a loop that never awaits is told of scope, once and long before there is no room", async () => {
    const { CpuBackend } = await import("../src/backends/cpu/backend.ts");
    const own = new T.Device(CpuBackend.create({ threads: 1, memoryLimit: 248 * 2 ** 20 }));
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    const held: T.Tensor[] = [];
    const warnedAt: number[] = [];
    expect(() => {
      for (;;) {
        held.push(own.ones([256, 1024]));
        if (warn.mock.calls.length === 1 && warnedAt.length === 0) warnedAt.push(held.length);
      }
    }).toThrow(/no room for .*scope/);
    expect(warn.mock.calls).toHaveLength(1);
    expect(warn.mock.calls[0]![0]).toContain("scope(() => …)");
    expect(warnedAt[0]).toBeLessThan(held.length / 2);
    warn.mockRestore();
    own.destroy();
  });
});

it("a scope's result may hold a tensor twice", async () => {
  const own = await T.Device.request();
  const [a, b] = T.scope(() => {
    const x = own.tensor([1, 2]);
    return [x, { again: x, map: new Map([[x, x]]) }] as const;
  });
  expect(b.map.get(a)).toBe(b.again);
  expect([...(await a.data())]).toEqual([1, 2]);
  a.dispose();
  expect(own.memory().liveBuffers).toBe(0);
  own.destroy();
});
