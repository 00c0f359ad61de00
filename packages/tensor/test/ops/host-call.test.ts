import { setTimeout as delay } from "node:timers/promises";
import { afterAll, describe, expect, it } from "vitest";
import * as T from "../../src/index.ts";
import { expectNoLeak } from "../../src/testing.ts";
import { failing } from "../backends/failing-kernels.ts";

const webgpu = await T.Device.request({ backend: "webgpu" });
const cpu = await T.Device.request({ backend: "cpu", threads: 1 });
afterAll(() => {
  webgpu.destroy();
  cpu.destroy();
});

/** The same work in both ways; the promise of one that has something to wait for. */
function both(work: (values: Float32Array) => Float32Array, pause?: () => Promise<unknown>): T.HostWork {
  return {
    now: work,
    later: async (values) => {
      await pause?.();
      return work(values);
    },
  };
}

const reversed = (values: Float32Array): Float32Array => values.slice().reverse();

describe.each([
  ["WebGPU", webgpu],
  ["the CPU", cpu],
])("a host call on %s", (_, device) => {
  it("makes numbers of what was recorded before it, for what is recorded behind", async () => {
    const x = device.tensor([1, 2, 3, 4, 5, 6], [2, 3]);
    const seen: number[][] = [];
    const work = both((values) => {
      seen.push([...values]);
      return Float32Array.of(values[0]! + values[5]!, 7);
    });
    const y = T.hostCall(T.transpose(T.mul(x, 2), 0, 1), [1, 2], work);
    T.assign(x, device.zeros([2, 3]));
    const z = T.add(T.mul(y, 10), T.narrow(x, 0, 0, 1).sum());
    expect([y.shape, y.dtype, y.requiresGrad]).toEqual([[1, 2], "f32", false]);
    expect([...(await z.data())]).toEqual([140, 70]);
    expect(seen).toEqual([[2, 8, 4, 10, 6, 12]]);
  });

  it("keeps its place among hundreds, whatever each waits for", async () => {
    const x = device.tensor([1, 2, 4]);
    let y = T.add(x, 0);
    const order: number[] = [];
    for (let i = 0; i < 60; i++) {
      const work = both(
        (values) => {
          order.push(i);
          return reversed(values);
        },
        () => (i % 7 === 0 ? delay(3) : Promise.resolve()),
      );
      // Written in place in between, and read behind.
      for (let k = 0; k < i % 5; k++) T.assign(x, T.add(x, 1));
      const next = T.add(T.hostCall(y, [3], work), x);
      y.dispose();
      y = next;
    }
    let [expected, own] = [
      [1, 2, 4],
      [1, 2, 4],
    ];
    for (let i = 0; i < 60; i++) {
      own = own.map((value) => value + (i % 5));
      expected = [...expected].reverse().map((value, k) => value + own[k]!);
    }
    const [sum] = await Promise.all([y.data(), device.sync()]);
    expect([...sum]).toEqual(expected);
    expect(order).toEqual(Array.from({ length: 60 }, (_, i) => i));
  });

  it("gives back its memory", async () => {
    const x = device.ones([100]);
    await expectNoLeak(() => {
      T.scope(() => {
        T.add(T.hostCall(T.add(x, 1), [100], both(reversed)), 1);
      });
    });
  });

  it("is refused where a function is captured, by the name of the op", () => {
    const x = device.ones([2, 3]);
    const call = device.capture((x: T.Tensor) => T.hostCall(x, [2, 3], both(reversed)));
    expect(() => call(x)).toThrow("capture: `hostCall` has JavaScript look at numbers");
    const together = {
      ...{ allGather: async (values: Float64Array) => [values], allGatherSync: (values: Float64Array) => [values] },
      ...{ allReduce: async (values: Float64Array) => values, allReduceSync: (values: Float64Array) => values },
    };
    const norm = device.capture((x: T.Tensor) => T.batchNorm(x, { exchange: together }).y);
    expect(() => norm(x)).toThrow("capture: `batchNorm` has JavaScript look at numbers");
  });
});

describe("what goes wrong in a host call", () => {
  const fails: T.HostWork = {
    now: () => {
      throw new RangeError("no answer from rank 3\nand more");
    },
    later: async () => {
      throw new RangeError("no answer from rank 3\nand more");
    },
  };

  it("is thrown at once on the CPU, and leaves nothing behind", () => {
    const x = cpu.ones([2]);
    const before = cpu.memory().liveBuffers;
    expect(() => T.hostCall(x, [2], fails)).toThrow("no answer from rank 3");
    expect(() =>
      T.hostCall(
        x,
        [2],
        both(() => new Float32Array(3)),
      ),
    ).toThrow("hostCall: work gives 3 values for f32[2] (2)");
    const promise = (async () => new Float32Array(2)) as unknown as () => Float32Array;
    expect(() => T.hostCall(x, [2], both(promise))).toThrow("hostCall: the function is asynchronous");
    expect(cpu.memory().liveBuffers).toBe(before);
  });

  it("fails what depends on it on WebGPU, and nothing besides", async () => {
    const x = webgpu.tensor([1, 2]);
    const before = T.add(x, 1);
    const lost = T.hostCall(before, [2], fails);
    const depends = T.add(lost, before);
    const after = T.mul(T.hostCall(before, [2], both(reversed)), 10);
    const reads = [before.data(), after.data()];
    for (const tensor of [lost, depends]) {
      await expect(tensor.data()).rejects.toThrow(
        expect.objectContaining({ message: "hostCall f32[2]: no answer from rank 3" }),
      );
    }
    expect((await Promise.all(reads)).map((values) => [...values])).toEqual([
      [2, 3],
      [30, 20],
    ]);
    await webgpu.sync();
    // Somebody has to be told.
    const untold = T.hostCall(before, [3], both(reversed));
    await expect(webgpu.sync()).rejects.toThrow("hostCall f32[3]: hostCall: work gives 2 values for f32[3] (3)");
    untold.dispose();
    await webgpu.sync();
  });

  it.each(failing)("is told of what its numbers needed: a launch that $name", async (bad) => {
    const a = webgpu.tensor(new Uint32Array(64).fill(3));
    const lost = T.cast(bad.run(a, a, "lost"), "f32");
    let called = 0;
    const work = both((values) => {
      called++;
      return values;
    });
    const y = T.add(T.hostCall(lost, [64], work), 1);
    const other = T.hostCall(T.add(T.cast(a, "f32"), 1), [64], work);
    await expect(y.data()).rejects.toThrow(/^lost u32\[64\]: kernel /);
    expect([...(await other.data())]).toEqual(new Array(64).fill(4));
    expect(called).toBe(1);
    await webgpu.sync();
  });

  it("does not keep those waiting whose device goes away", async () => {
    const device = await T.Device.request({ backend: "webgpu" });
    let asked = (): void => {};
    const begun = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const never = (): Promise<never> => {
      asked();
      return new Promise(() => {});
    };
    const y = T.hostCall(device.ones([2]), [2], both(reversed, never));
    const ends = [y.data(), T.add(y, 1).data(), device.sync()].map((end) => end.then(String, String));
    await begun;
    device.destroy();
    for (const end of await Promise.all(ends)) expect(end).toMatch(/^DeviceError: the device .+ was destroyed$/);
  });
});

it("lets reads pass that were recorded before it", async () => {
  let answer = (): void => {};
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const x = webgpu.tensor([1, 2]);
  const before = T.add(x, 1);
  const read = before.data();
  const y = T.hostCall(
    before,
    [2],
    both(reversed, () => answered),
  );
  let done = false;
  const behind = T.add(x, 5)
    .data()
    .then((values) => {
      done = true;
      return values;
    });
  expect([...(await read)]).toEqual([2, 3]);
  await delay(20);
  expect(done).toBe(false);
  answer();
  expect([...(await behind)]).toEqual([6, 7]);
  expect([...(await y.data())]).toEqual([3, 2]);
});
