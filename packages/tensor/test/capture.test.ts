import { describe, expect, it } from "vitest";
import type { WebGPUBackend } from "../src/backends/webgpu/backend.ts";
import * as T from "../src/index.ts";
import { testDevice } from "../src/testing.ts";

const devices = [await testDevice("cpu"), await testDevice("webgpu")];
const [, gpu] = devices;

describe.each(devices.map((device) => [device.info.backend, device] as const))(
  "a captured function, %s",
  (_, device) => {
    const drawn = (seed: number, ...shape: number[]): T.Tensor => {
      const x = T.rand(device, shape, new T.Rng(seed));
      x.view(); // what is drawn is pending until then
      return x;
    };
    const wide = drawn(1, 24, 16);
    const narrow = drawn(2, 16, 24);
    const filter = drawn(3, 5, 2, 3, 3);
    const pending = T.mul(drawn(4, 16), 3);

    const functions: Readonly<
      Record<string, readonly [work: (x: T.Tensor) => T.Tensor | T.Tensor[], ...shape: number[]]>
    > = {
      "a perceptron": [(x) => T.linear(T.gelu(T.linear(T.layerNorm(x), wide)), narrow), 3, 16],
      "a convolution": [(x) => T.relu(T.conv2d(x, filter, { padding: 1 })), 1, 2, 6, 7],
      attention: [(x) => T.attention(x, x, T.mul(x, 2)), 1, 2, 5, 8],
      "what is pending before": [(x) => T.add(x, pending), 3, 16],
      "weights by columns": [(x) => T.matmul(x, T.transpose(wide, 0, 1)), 3, 16],
      "numbers of the host": [(x) => T.add(T.mul(x, device.tensor([1, 2, 3, 4])), device.tensor([5, 6, 7, 8])), 3, 4],
      "several results, a view and an input among them": [(x) => [T.transpose(x, 0, 1), x, T.softmax(x, 0)], 3, 4],
      "a scope inside": [
        (x) =>
          T.sub(
            x,
            T.scope(() => T.amax(x, { dim: 0, keepDim: true })),
          ),
        3,
        4,
      ],
      "nothing but a weight": [() => wide, 2],
    };
    it("gives several results inside of another captured function", async () => {
      const inner = device.capture((x: T.Tensor) => [T.add(x, 1), T.mul(x, 2)]);
      const outer = device.capture((x: T.Tensor) => {
        const [a, b] = inner(x);
        return T.add(a!, b!);
      });
      expect(await outer(device.tensor([1, 2])).data()).toEqual(Float32Array.of(4, 7));
      for (const captured of [inner, outer]) captured.dispose();
    });

    it.each(Object.entries(functions))("gives the bits of the function: %s", async (_, [work, ...shape]) => {
      const captured = device.capture(work);
      const list = (result: T.Tensor | T.Tensor[]): T.Tensor[] => [result].flat();
      const results: T.Tensor[][] = [];
      const expected: T.Tensor[][] = [];
      // Run ahead, so that nothing is read before the next call.
      for (let call = 0; call < 4; call++) {
        const x = drawn(10 + call, ...shape);
        results.push(list(captured(x)));
        expected.push(list(T.noGrad(() => work(x))));
      }
      for (const [call, tensors] of expected.entries()) {
        for (const [i, tensor] of tensors.entries()) {
          const result = results[call]![i]!;
          expect(result === tensor).toBe(false);
          expect(result.shape).toEqual(tensor.shape);
          expect(await result.data()).toEqual(await tensor.data());
        }
      }
      captured.dispose();
    });

    it("sees weights that are written between its calls", async () => {
      const weight = device.tensor([1, 2, 3]);
      const captured = device.capture((x: T.Tensor) => T.mul(x, weight));
      const x = device.tensor([1, 10, 100]);
      const seen: number[][] = [];
      for (let call = 0; call < 4; call++) {
        seen.push([...(await captured(x).data())]);
        if (call > 0) T.assign(weight, T.add(weight, 1));
      }
      expect(seen).toEqual([
        [1, 20, 300],
        [1, 20, 300],
        [2, 30, 400],
        [3, 40, 500],
      ]);
      captured.dispose();
    });

    it("draws what the function draws, and leaves generators where it leaves them", async () => {
      const rate = device.tensor([0.5, 3, 40]);
      const [outside, outsideToo] = [new T.Rng(1), new T.Rng(1)];
      const work =
        (other: T.Rng) =>
        (x: T.Tensor, rng: T.Rng): T.Tensor[] => {
          const before = rng.state();
          const first = T.randn(device, [5], rng);
          const results = [
            first,
            T.poisson(rate, other),
            T.dropout(x, { p: 0.5, rng }),
            T.randBits(device, [3], other),
          ];
          return [...results, T.sub(T.randn(device, [5], T.Rng.fromState(before)), first)];
        };
      const plain = work(outside);
      const captured = device.capture(work(outsideToo));
      const x = device.ones([9]);
      for (let call = 0; call < 5; call++) {
        const [one, two] = [new T.Rng(call % 3), new T.Rng(call % 3)];
        // Somebody else draws, too.
        for (const rng of [outside, outsideToo]) rng.take(call);
        const [expected, drawn] = [plain(x, one), captured(x, two)];
        for (const [i, tensor] of expected.entries()) expect(await drawn[i]!.data()).toEqual(await tensor.data());
        expect(await drawn[4]!.data()).toEqual(new Float32Array(5));
        expect([two.state(), outsideToo.state()]).toEqual([one.state(), outside.state()]);
      }
      const same = new T.Rng(1);
      const pair = device.capture((a: T.Rng, b: T.Rng) => T.add(T.rand(device, [2], a), T.rand(device, [2], b)));
      expect(() => pair(same, same)).toThrow("capture: inputs 0 and 1 are one generator: pass it once");
      captured.dispose();
    });

    it("writes what the function writes, whoever holds what was there", async () => {
      const make = (): { state: T.Tensor[]; step: (x: T.Tensor) => T.Tensor } => {
        const state = [device.tensor([1, 2]), device.tensor([3, 4]), device.zeros([2, 2])];
        const [sum, last, square] = state as [T.Tensor, T.Tensor, T.Tensor];
        const step = (x: T.Tensor): T.Tensor => {
          T.assign(sum, T.add(sum, x));
          T.assign(last, x);
          T.assign(square, T.matmul(T.reshape(sum, [2, 1]), T.reshape(last, [1, 2])));
          return T.add(sum, last);
        };
        return { state, step };
      };
      const [plain, other] = [make(), make()];
      const captured = device.capture(other.step);
      const held: (readonly [expected: T.Tensor, view: T.Tensor])[] = [];
      for (let call = 0; call < 6; call++) {
        const x = device.tensor([call, 0.5]);
        const [expected, result] = [plain.step(x), captured(x)];
        expect(await result.data()).toEqual(await expected.data());
        for (const [i, tensor] of plain.state.entries()) {
          expect(await other.state[i]!.data()).toEqual(await tensor.data());
          // A value that is held on, and one that is pending on it.
          if (call === i + 1) held.push([T.clone(tensor), T.reshape(other.state[i]!, [1, -1])]);
          if (call === i + 2) held.push([T.clone(T.mul(tensor, 2)), T.mul(other.state[i]!, 2)]);
        }
      }
      for (const [expected, view] of held) expect(await view.data()).toEqual(await expected.data());
      captured.dispose();
    });

    it("leaves alone what the function makes once and keeps for later calls", async () => {
      let kept: T.Tensor | undefined;
      const captured = device.capture((x: T.Tensor) => {
        kept ??= T.keep(device.zeros([2]));
        T.assign(kept, T.add(kept, x));
        return T.mul(kept, 2);
      });
      for (let call = 1; call < 5; call++) {
        expect(await captured(device.ones([2])).data()).toEqual(Float32Array.of(2 * call, 2 * call));
      }
      captured.dispose();
    });

    it("refuses what a list of launches cannot do again, in one line, and goes on", async () => {
      const weight = device.tensor([1, 2]);
      const [expAvg, expAvgSq] = [device.zeros([2]), device.zeros([2])];
      const rng = new T.Rng(1);
      const x = device.tensor([1, 2]);
      const captured = device.capture((y: T.Tensor) => T.add(y, 1));
      captured(x);
      expect(() => captured(device.zeros([3]))).toThrow(
        "capture: input 0 f32[3] differs from that of the first call, f32[2]",
      );
      expect(() => captured(device.zeros([2], { dtype: "i32" }))).toThrow(
        "differs from that of the first call, f32[2]",
      );
      const refused: [message: string, work: (y: T.Tensor) => T.Tensor][] = [
        [
          "`dropout` draws from a generator that the function makes",
          (y) => T.dropout(y, { p: 0.5, rng: new T.Rng(1) }),
        ],
        ["a generator gives JavaScript a number", (y) => T.mul(y, rng.normal())],
        ["a generator gives JavaScript another generator", (y) => T.dropout(y, { p: 0.5, rng: rng.fork(1) })],
        [
          "adamStep: step 1 would be that of every call: give a function",
          (y) => {
            const numbers = { lr: 0.1, beta1: 0.9, beta2: 0.9, eps: 1e-8, weightDecay: 0, decoupled: false, step: 1 };
            T.adamStep({ param: weight, grad: y, expAvg, expAvgSq, ...numbers });
            return y;
          },
        ],
        ["the function is asynchronous", (async (y: T.Tensor) => y) as unknown as (y: T.Tensor) => T.Tensor],
      ];
      for (const [message, work] of refused) {
        const call = device.capture(work);
        for (let i = 0; i < 2; i++) expect(() => call(x)).toThrow(message);
      }
      expect(await captured(x).data()).toEqual(Float32Array.of(2, 3));
      expect(await T.add(weight, x).data()).toEqual(Float32Array.of(2, 4));
      captured.dispose();
    });

    it("holds no more memory after many calls, and none when it is disposed", async () => {
      // Of its own: what other tests forgot comes back when the collector likes.
      const own = await T.Device.request({ backend: device === gpu ? "webgpu" : "cpu" });
      const weight = own.zeros([16, 24]);
      weight.view();
      const before = own.memory().liveBuffers;
      const captured = own.capture((x: T.Tensor) => T.softmax(T.matmul(x, weight), -1));
      const x = own.zeros([3, 16]);
      x.view();
      const counts: number[] = [];
      for (let call = 0; call < 5; call++) {
        captured(x).dispose();
        counts.push(own.memory().liveBuffers);
      }
      expect(new Set(counts).size).toBe(1);
      captured.dispose();
      x.dispose();
      expect(own.memory().liveBuffers).toBe(before);
      own.destroy();
    });
  },
);

it("is replayed in one submission, with neither a buffer nor a bind group made", async () => {
  // Of its own, since its driver counts from here on.
  const device = await T.Device.request({ backend: "webgpu" });
  const { gpu: driver } = device.backend as WebGPUBackend;
  driver.pool.onFree = undefined;
  const weight = device.ones([16, 16]);
  const captured = device.capture((x: T.Tensor) => {
    let h = x;
    for (let i = 0; i < 150; i++) h = T.linear(h, weight);
    return h;
  });
  const x = device.ones([2, 16]);
  const counts = { createBindGroup: 0, createBuffer: 0, submit: 0 };
  const count = (target: GPUDevice | GPUQueue, name: keyof typeof counts): void => {
    // The cast: any method, whatever it takes.
    const methods = target as unknown as Record<string, (...given: unknown[]) => unknown>;
    const method = methods[name]!;
    methods[name] = (...given) => {
      counts[name]++;
      return method.apply(target, given);
    };
  };
  count(driver.device, "createBindGroup");
  count(driver.device, "createBuffer");
  count(driver.device.queue, "submit");
  for (let call = 0; call < 4; call++) {
    if (call === 3) Object.assign(counts, { createBindGroup: 0, createBuffer: 0, submit: 0 });
    captured(x).dispose();
    if (call < 3) await device.sync();
  }
  await device.sync();
  expect(counts).toEqual({ createBindGroup: 0, createBuffer: 0, submit: 1 });
  captured.dispose();
  device.destroy();
});

describe("a function that is captured when it is steady", () => {
  it("runs as it is, then captured, for as many shapes as it may, with the same bits", async () => {
    // Of its own: what other tests forgot comes back when the collector likes.
    const device = await T.Device.request({ backend: "webgpu" });
    let runs = 0;
    const work = (x: T.Tensor, rng: T.Rng): T.Tensor => {
      runs++;
      return T.scope(() => T.dropout(T.mul(T.softmax(x, 0), 3), { p: 0.5, rng })) as T.Tensor;
    };
    const { liveBuffers } = device.memory();
    const steady = T.captureSteady(device, work, { most: 1 });
    // One of 3 comes in between, one of 5 when there is no room for another.
    const seen: number[] = [];
    const rng = new T.Rng(1);
    for (const size of [4, 3, 4, 4, 4, 5, 5, 5, 5, 4]) {
      const x = device.tensor(Float32Array.from({ length: size }, (_, i) => i));
      const same = T.Rng.fromState(rng.state());
      runs = 0;
      const y = steady(x, rng);
      seen.push(runs);
      const expected = work(x, same);
      expect(await y.data()).toEqual(await expected.data());
      expect(rng.state()).toEqual(same.state());
      for (const tensor of [x, y, expected]) tensor.dispose();
    }
    expect(seen).toEqual([1, 1, 1, 1, 0, 1, 1, 1, 1, 0]);
    steady.dispose();
    expect(device.memory().liveBuffers).toBe(liveBuffers);
    expect(() => T.captureSteady(device, work, { most: -1 })).toThrow(
      "captureSteady: most has to be a whole number of at least 0, got -1",
    );
    // @ts-expect-error of JavaScript
    expect(() => T.captureSteady(device, work, { software: 1 })).toThrow("captureSteady: software");
    const plain = T.captureSteady(device, work, { after: 0, software: false });
    runs = 0;
    for (let i = 0; i < 3; i++) plain(device.zeros([4]), rng).dispose();
    expect(runs).toBe(device.info.software ? 3 : 1);
    device.destroy();
  });
});
