import { expect, it } from "vitest";
import * as T from "../../src/index.ts";
import { testDevice } from "../../src/testing.ts";

/** An op that there is no room for fails, and nothing else: on the backend of this run, with `memoryLimit`. */

const MIB = 2 ** 20;
const backend = (await testDevice()).info.backend as "cpu" | "webgpu";

/** A device with `free` MiB left besides what `make` makes, that, and what has to go before there is more. */
async function nearlyFull<M extends T.Tensor[]>(
  free: number,
  make: (device: T.Device) => M,
): Promise<{ device: T.Device; made: M; makeRoom: () => Promise<void> }> {
  const device = await T.Device.request({ backend, memoryLimit: 64 * MIB });
  const made = T.scope(() => make(device));
  await device.sync();
  const filler = [device.zeros([MIB / 4], { label: "filler" })];
  // With its kernel compiled, what waits can go at once.
  await device.sync();
  try {
    for (;;) filler.push(device.zeros([MIB / 4], { label: "filler" }));
  } catch (error) {
    expect(String(error)).toContain("filler f32[262144]: no room");
  }
  // Neighbours, which join on the CPU.
  for (let i = 0; i < free; i++) filler.pop()!.dispose();
  await device.sync();
  const makeRoom = async (): Promise<void> => {
    for (const x of filler) x.dispose();
    await device.sync();
  };
  return { device, made, makeRoom };
}

const randn = (device: T.Device, shape: number[], seed: number): T.Tensor => T.randn(device, shape, new T.Rng(seed));

it("refuses a limit that is no whole number above 0", async () => {
  for (const memoryLimit of [0, -1, 1.5, Number.NaN])
    await expect(T.Device.request({ backend, memoryLimit })).rejects.toThrow(/memoryLimit .* (whole|integer)/);
});

it("names the op, its tensor, the bytes and the five largest tensors", async () => {
  const device = await T.Device.request({ backend, memoryLimit: 64 * MIB });
  const [a, b] = [randn(device, [3600, 8], 1), randn(device, [8, 3600], 2)];
  const held = [3, 9, 5, 2, 7, 1, 4].map((size) => device.zeros([size, MIB / 4], { label: `held-${size}` }));
  const { message } = await Promise.resolve()
    .then(() => T.matmul(a, b).view())
    .then(
      () => new Error("nothing failed"),
      (error: Error) => error,
    );
  expect(message).toMatch(
    /^matmul f32\[3600, 3600\]: no room for 51840000 bytes \(50 MiB\): 3[2-4] MiB are in use, and memoryLimit allows 64 MiB; use a smaller batch or tile/,
  );
  const largest = [9, 7, 5, 4, 3].map((size) => `held-${size} f32[${size}, 262144] (${size} MiB)`).join(", ");
  expect(message).toContain(`; the largest tensors are ${largest}; most is held by held-9 9 MiB in 1`);
  expect(message).not.toContain("\n");
  expect(() => device.zeros([80, MIB / 4], { label: "all" })).toThrow(/^all f32\[80, 262144\]: /);
  for (const x of held) x.dispose();
  await device.sync();
  expect((await T.matmul(a, b).data()).length).toBe(3600 ** 2);
  device.destroy();
});

it("makes room out of what waits before it refuses", async () => {
  const device = await T.Device.request({ backend, memoryLimit: 64 * MIB });
  // Small ones lie apart on the CPU, in the first 4 MiB.
  await device.zeros([1]).data();
  for (const size of [40, 30, 50, 20, 45]) {
    const x = device.full([size, MIB / 4], size);
    expect(await T.amax(x).item()).toBe(size);
    x.dispose();
    await device.sync();
  }
  device.destroy();
});

it("what failed in a forward pass leaves everything else as it was", async () => {
  const { device, made, makeRoom } = await nearlyFull(6, (device) => [
    randn(device, [1500, 32], 1),
    randn(device, [32, 1500], 2),
  ]);
  const [a, b] = made as [T.Tensor, T.Tensor];
  const beside = T.exp(T.narrow(a, 0, 0, 10));
  const before = T.sum(T.square(a));
  const { liveBytes, liveBuffers } = device.memory();
  for (let i = 0; i < 3; i++) {
    expect(() => T.scope(() => void T.softmax(T.matmul(a, b), -1).view())).toThrow(
      /^matmul f32\[1500, 1500\]: no room/,
    );
    expect(device.memory()).toMatchObject({ liveBytes, liveBuffers });
  }
  const again = T.matmul(T.narrow(a, 0, 0, 10), b);
  expect((await beside.data())[0]).toBeCloseTo(Math.exp((await a.data())[0]!), 4);
  expect(await before.item()).toBeGreaterThan(40_000);
  const part = await again.data();
  await makeRoom();
  const whole = await T.matmul(a, b).data();
  expect([...part]).toEqual([...whole.subarray(0, part.length)]);
  await device.sync();
  device.destroy();
});

it("what failed in a backward pass can be done again", async () => {
  const { device, made, makeRoom } = await nearlyFull(12, (device) => [
    randn(device, [1024, 1024], 1),
    randn(device, [1024, 1024], 2),
  ]);
  const [weight, x] = [T.requireGrad(made[0]!), made[1]!];
  const pass = (): T.Tensor =>
    T.scope(() => T.backward(T.mean(T.square(T.gelu(T.matmul(x, weight)))), { wrt: [weight] }).get(weight)!);
  const { liveBytes } = device.memory();
  for (let i = 0; i < 2; i++) {
    expect(pass).toThrow(/: no room for \d+ bytes/);
    expect(device.memory().liveBytes).toBe(liveBytes);
  }
  await makeRoom();
  const found = await pass().data();
  const free = await T.Device.request({ backend });
  const [w, y] = [T.requireGrad(randn(free, [1024, 1024], 1)), randn(free, [1024, 1024], 2)];
  const right = T.backward(T.mean(T.square(T.gelu(T.matmul(y, w)))), { wrt: [w] }).get(w)!;
  expect([...found]).toEqual([...(await right.data())]);
  device.destroy();
  free.destroy();
});

it("an optimizer's step that fails has updated nothing", async () => {
  const numbers = { lr: 0.1, beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0, decoupled: false, step: 1 };
  const { device, made, makeRoom } = await nearlyFull(9, (device) =>
    [1, 2, 3, 4].map((seed) => T.abs(randn(device, [1024, 1024], seed))),
  );
  const [param, grad, expAvg, expAvgSq] = made as [T.Tensor, T.Tensor, T.Tensor, T.Tensor];
  // Somebody holds the old values, so that each of the three needs 4 MiB of its own, and there is room for two.
  const kept = [param, expAvg, expAvgSq].map((x) => T.reshape(x, [MIB]));
  const before = await Promise.all(kept.map((x) => x.data()));
  const { liveBytes } = device.memory();
  const step = (): void => T.adamStep({ param, grad, expAvg, expAvgSq, ...numbers });
  for (let i = 0; i < 3; i++) {
    expect(step).toThrow(/^.* f32\[1024, 1024\]: no room for 4194304 bytes/);
    expect(device.memory().liveBytes).toBe(liveBytes);
    const after = await Promise.all([param, expAvg, expAvgSq].map((x) => x.data()));
    expect(after.every((values, k) => values.every((value, j) => value === before[k]![j]))).toBe(true);
  }
  await makeRoom();
  step();
  const moved = await param.data();
  const [first, g, m, v] = [before[0]![7]!, (await grad.data())[7]!, before[1]![7]!, before[2]![7]!];
  const expected = first - (0.1 * (0.9 * m + 0.1 * g)) / 0.1 / (Math.sqrt((0.99 * v + 0.01 * g * g) / 0.01) + 1e-8);
  expect(moved[7]).toBeCloseTo(expected, 4);
  expect([...(await kept[0]!.data()).subarray(0, 9)]).toEqual([...before[0]!.subarray(0, 9)]);
  device.destroy();
});
