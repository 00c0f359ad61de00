import { afterAll, describe, expect, it } from "vitest";
import { findAdapter } from "#platform";
import { WebGPUBackend } from "../../src/backends/webgpu/backend.ts";
import { kernel } from "../../src/backends/webgpu/kernel.ts";
import * as T from "../../src/index.ts";
import { filled } from "../../src/making.ts";

/** What is over a limit of the device is named and fails by itself: on WebGPU, with the smallest limits that there are. */

const MIB = 2 ** 20;
// What WebGPU promises everywhere.
const LEAST = {
  maxBufferSize: 256 * MIB,
  maxStorageBufferBindingSize: 128 * MIB,
  maxComputeWorkgroupStorageSize: 16_384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
};
const backend = await WebGPUBackend.create(await findAdapter("auto"), { limits: LEAST });
const device = new T.Device(backend);
afterAll(() => device.destroy());

/** One thread that writes as many words as its uniforms have vectors. */
const wordy = kernel("wordy", ({ vectors }: { vectors: number }) => ({
  inputs: {},
  outputs: { y: "u32" },
  uniforms: { words: `array<vec4u, ${vectors}>` },
  workgroupSize: 64,
  source: `
@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) i: u32) { y[i] = u.words[${vectors - 1}][3]; }`,
}));
const launch = (vectors: number): T.Tensor =>
  filled(device, [64], "u32", "wordy", (y) =>
    wordy.run(backend.gpu, {
      template: { vectors },
      operands: { y },
      uniforms: { words: Array.from({ length: 4 * vectors }, (_, i) => i) },
      workgroups: 1,
    }),
  );

it("a device has the limits that it is asked for with", () => {
  expect(device.info.limits).toMatchObject(LEAST);
  expect(device.info.maxTensorBytes).toBe(128 * MIB);
});

describe("over its limit", () => {
  it.each([
    {
      limit: "maxStorageBufferBindingSize",
      work: () => device.zeros([32 * MIB + 1], { label: "wide" }),
      says: /^wide f32\[33554433\]: a tensor of 134217732 bytes is over this adapter's limit of 134217728 bytes for one buffer; use a smaller/,
    },
    {
      limit: "maxStorageBufferBindingSize, of what a product makes",
      work: () => T.matmul(device.ones([8192, 1]), device.ones([1, 8192])),
      says: /^matmul f32\[8192, 8192\]: a tensor of 268435456 bytes is over/,
    },
    {
      limit: "maxBufferSize",
      work: () => device.zeros([80 * MIB], { label: "wider" }),
      says: /^wider f32\[83886080\]: a tensor of 335544320 bytes is over this adapter's limit of 134217728 bytes/,
    },
    {
      limit: "maxUniformBufferBindingSize",
      work: () => launch(5000),
      says: /^wordy u32\[64\]: kernel wordy<5000> .*(80000|maxUniformBufferBindingSize|uniform)/i,
    },
  ])("$limit: named, and the device goes on", async ({ work, says }) => {
    const before = device.memory().liveBuffers;
    const beside = T.add(device.ones([100]), 1);
    const error = await (async () => work().data())().then(
      () => new Error("nothing failed"),
      (error: Error) => error,
    );
    expect(error).toBeInstanceOf(T.DeviceError);
    expect(error.message).toMatch(says);
    expect(error.message).not.toContain("\n");
    expect((await beside.data())[99]).toBe(2);
    expect([...(await launch(8).data())]).toEqual(new Array(64).fill(31));
    await device.sync();
    expect(device.memory().liveBuffers - before).toBeLessThan(8);
  });
});

describe("at its limit", () => {
  it("maxStorageBufferBindingSize: a tensor of exactly so many bytes is computed", async () => {
    using x = device.full([32 * MIB], 2);
    expect(await T.amax(x).item()).toBe(2);
  });

  it("maxComputeWorkgroupsPerDimension: more workgroups than one direction takes are folded into two", async () => {
    const rows = 70_000;
    using x = T.reshape(device.arange(rows * 3), [rows, 3]);
    const shares = await T.softmax(x, -1).data();
    const last = shares.subarray(shares.length - 3);
    for (const [i, share] of [0.0900306, 0.2447285, 0.6652409].entries()) expect(last[i]).toBeCloseTo(share, 5);
  });

  it("maxComputeInvocationsPerWorkgroup and maxComputeWorkgroupStorageSize: kernels keep to them", async () => {
    const rng = new T.Rng(5);
    const [a, b] = [T.randn(device, [130, 70], rng), T.randn(device, [70, 90], rng)];
    const image = T.randn(device, [2, 6, 19, 18], rng);
    const results = [
      T.matmul(a, b),
      T.conv2d(image, T.randn(device, [8, 6, 3, 3], rng), { padding: 1 }),
      T.layerNorm(a),
      T.softmax(a, -1),
      T.sum(image, { dim: 1 }),
      T.attention(T.reshape(a, [1, 130, 70]), T.reshape(a, [1, 130, 70]), T.reshape(a, [1, 130, 70])),
    ];
    for (const y of results) expect((await y.data()).every(Number.isFinite)).toBe(true);
    await device.sync();
  });
});
