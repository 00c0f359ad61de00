import { describe, expect, it } from "vitest";
import type { WebGPUBackend } from "../src/backends/webgpu/backend.ts";
import * as T from "../src/index.ts";

const devices = [await T.Device.request({ backend: "cpu" }), await T.Device.request({ backend: "webgpu" })];
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

    it("refuses what a list of launches cannot do again, in one line, and goes on", async () => {
      const weight = device.tensor([1, 2]);
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
          "`assign` writes to f32[2], which was made outside of the function",
          (y) => {
            T.assign(weight, y);
            return y;
          },
        ],
        ["`dropout` draws numbers", (y) => T.dropout(y, { p: 0.5, rng: new T.Rng(1) })],
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
      await device.sync();
      const before = device.memory().liveBuffers;
      const captured = device.capture((x: T.Tensor) => T.softmax(T.matmul(x, narrow), -1));
      const x = device.zeros([3, 16]);
      x.view();
      const counts: number[] = [];
      for (let call = 0; call < 5; call++) {
        captured(x).dispose();
        counts.push(device.memory().liveBuffers);
      }
      expect(new Set(counts).size).toBe(1);
      captured.dispose();
      x.dispose();
      expect(device.memory().liveBuffers).toBe(before);
    });
  },
);

it("is replayed in one submission, with neither a buffer nor a bind group made", async () => {
  const device = gpu!;
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
});
