import { afterAll, describe, expect, it } from "vitest";
import * as T from "../../src/index.ts";

const MIB = 2 ** 20;
const device = await T.Device.request();
// What follows the words "on WebGPU" is about buffers: the CPU backend has one memory, which cannot be given back in parts.
const webgpu = await T.Device.request({ backend: "webgpu" });
afterAll(() => {
  device.destroy();
  webgpu.destroy();
});

it("a step of steady shape creates nothing after its third iteration, however much waits between two", async () => {
  const rng = new T.Rng(3);
  const weight = T.requireGrad(T.randn(device, [30, 20], rng));
  const [expAvg, expAvgSq] = [device.zeros([30, 20]), device.zeros([30, 20])];
  const input = T.randn(device, [40, 30], rng);
  const settings = { lr: 0.1, beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0, decoupled: false };
  let created = 0;
  const losses: number[] = [];
  for (let i = 1; i <= 50; i++) {
    // Stands for the activations of a large network: 80 MiB that nobody has between two steps.
    const activations = Array.from({ length: 10 }, () => device.backend.allocate(8 * MIB, "activation"));
    const loss = T.scope(() => {
      const loss = T.mean(T.square(T.tanh(T.matmul(input, weight))));
      T.adamStep({ param: weight, grad: T.backward(loss).get(weight)!, expAvg, expAvgSq, ...settings, step: i });
      return T.detach(loss);
    });
    for (const storage of activations) storage.release();
    losses.push(await loss.item());
    loss.dispose();
    if (i % 10 === 0) await device.sync();
    if (i === 3) created = device.memory().createdBuffers;
  }
  expect(losses[49]).toBeLessThan(losses[0]! * 0.7);
  expect(device.memory().createdBuffers).toBe(created);
  // The CPU backend lets go of the end of its memory, and takes it again.
  if (device.info.backend === "webgpu") expect(device.memory().pooledBytes).toBeGreaterThan(80 * MIB);
});

describe("on WebGPU", () => {
  it("what nobody takes any more goes, what every step takes stays", async () => {
    const small = (): void => T.scope(() => void T.add(webgpu.ones([1000]), 1).view());
    small();
    const before = webgpu.memory();
    const large = webgpu.full([26 * MIB], 2);
    const sum = T.sum(large);
    large.dispose();
    expect(webgpu.memory().pooledBytes).toBeGreaterThan(100 * MIB);
    for (let i = 0; i < 20; i++) {
      small();
      await webgpu.sync();
    }
    expect(webgpu.memory().pooledBytes).toBeLessThan(MIB);
    expect(await sum.item()).toBe(52 * MIB);
    const created = webgpu.memory().createdBuffers;
    small();
    expect(webgpu.memory().createdBuffers).toBe(created);
    expect(created - before.createdBuffers).toBeLessThan(10);
    // The bind groups of what went are gone too: a new buffer of that size has its own.
    const again = webgpu.full([26 * MIB], 3);
    expect(await T.sum(again).item()).toBe(78 * MIB);
    again.dispose();
  });

  it("reads of what was there already do not make it go", async () => {
    const large = webgpu.full([26 * MIB], 2);
    const number = webgpu.tensor([1]);
    await webgpu.sync();
    large.dispose();
    for (let i = 0; i < 40; i++) await number.data();
    expect(webgpu.memory().pooledBytes).toBeGreaterThan(100 * MIB);
  });
});

describe("memoryLimit on WebGPU", () => {
  const limited = (memoryLimit: number): Promise<T.Device> => T.Device.request({ backend: "webgpu", memoryLimit });

  it("ends a loop that never waits with an error that names what there was no room for", async () => {
    const other = await limited(16 * MIB);
    const held: T.Tensor[] = [];
    expect(() => {
      for (let i = 0; i < 1000; i++) held.push(other.full([MIB / 4], i, { label: "batch" }));
    }).toThrow(
      "batch f32[262144]: no room for 1048576 bytes (1 MiB): 16 MiB are in use, and memoryLimit allows 16 MiB; use a smaller batch " +
        "or tile, or free tensors (scope, dispose); the largest tensors are batch f32[262144] (1 MiB), ",
    );
    expect(held.length).toBe(16);
    expect((await held[15]!.data())[0]).toBe(15);
    held.pop()!.dispose();
    expect((await other.full([MIB / 4], 7).data())[0]).toBe(7);
    other.destroy();
  });

  it("makes room out of what waits, as soon as what is recorded can be submitted", async () => {
    const other = await limited(16 * MIB);
    await T.add(other.ones([4]), 1).data();
    let last: T.Tensor | undefined;
    for (let i = 1; i <= 120; i++) {
      last?.dispose();
      last = T.scope(() => T.add(other.full([i * 8192], i), 1));
    }
    expect(new Set(await last!.data())).toEqual(new Set([121]));
    const { liveBytes, pooledBytes } = other.memory();
    expect(liveBytes + pooledBytes).toBeLessThanOrEqual(16 * MIB);
    other.destroy();
  });
});
