import { describe, expect, it } from "vitest";
import * as T from "../../src/index.ts";
import { checkOp, expectClose, type NdArray, ndarray, testDevice } from "../../src/testing.ts";
import { deviceWithoutSubgroups } from "../without-subgroups.ts";

const webgpu = await testDevice("webgpu");
const cpu = await T.Device.request({ backend: "cpu", threads: 1 });

/** Along an axis that has `after` elements behind each of its own, by the definition. */
function reference(x: NdArray, weight: NdArray, bias: NdArray, after: number): Float64Array {
  const [out, inner] = weight.shape as [number, number];
  const before = x.data.length / inner / after;
  const y = new Float64Array(before * out * after);
  for (let b = 0; b < before; b++) {
    for (let o = 0; o < out; o++) {
      for (let n = 0; n < after; n++) {
        let total = bias.data[o]!;
        for (let c = 0; c < inner; c++) total += x.data[(b * inner + c) * after + n]! * weight.data[o * inner + c]!;
        y[(b * out + o) * after + n] = total;
      }
    }
  }
  return y;
}

describe("linear", () => {
  it.each([
    [[2, 3, 5], 7],
    [[9, 8], 4],
    [[5], 3],
    [[1, 70, 12], 9],
  ])("is x Wᵀ + b over the last axis of %j", async (shape, out) => {
    const inner = shape.at(-1)!;
    await checkOp("linear", {
      op: T.linear as (...inputs: T.Tensor[]) => T.Tensor,
      reference: (x, w, b) => ndarray([...shape.slice(0, -1), out], reference(x!, w!, b!, 1)),
      inputs: [{ shape }, { shape: [out, inner] }, { shape: [out] }],
    });
  });
});

describe("channelLinear", () => {
  it.each([
    [[2, 5, 3], 7],
    [[3, 8, 12], 4],
    [[1, 4, 70], 9],
    [[2, 11, 1], 6],
  ])("is W x + b over the channels of %j", async (shape, out) => {
    const [, inner, n] = shape as [number, number, number];
    await checkOp("channelLinear", {
      op: T.channelLinear as (...inputs: T.Tensor[]) => T.Tensor,
      reference: (x, w, b) => ndarray([shape[0]!, out, n], reference(x!, w!, b!, n)),
      inputs: [{ shape }, { shape: [out, inner] }, { shape: [out] }],
    });
  });

  it("takes channels and nothing else", () => {
    expect(() => T.channelLinear(webgpu.ones([2, 3, 4, 5]), webgpu.ones([6, 3]))).toThrow(
      "channelLinear: takes x (b, in, n), got f32[2, 3, 4, 5]",
    );
    expect(() => T.channelLinear(webgpu.ones([2, 3, 4]), webgpu.ones([6, 4]))).toThrow("(3 vs 4)");
  });
});

/** Gradients of x, weight and bias, of turned images, of rows and of channels. */
function gradients(on: T.Device, way: "turned" | "rows" | "channels", [b, inner, n, out]: readonly number[]) {
  const draw = (shape: readonly number[], scale: number): T.Tensor =>
    on.tensor(
      Float32Array.from({ length: T.numel(shape) }, (_, i) => Math.sin(i * scale)),
      shape,
    );
  const x = T.requireGrad(draw(way === "rows" ? [b!, n!, inner!] : [b!, inner!, n!], 0.7));
  const weight = T.requireGrad(draw([out!, inner!], 1.3));
  const bias = T.requireGrad(draw([out!], 2.1));
  const y =
    way === "channels"
      ? T.channelLinear(x, weight, bias)
      : T.linear(way === "turned" ? T.transpose(x, 1, 2) : x, weight, bias);
  const found = T.backward(y, { grad: draw(y.shape, 0.3) });
  return [x, weight, bias].map((t) => found.get(t)!);
}

describe("the gradients of weight and bias", () => {
  const sizes = [
    [2, 5, 7, 3],
    [3, 12, 64, 20],
    [5, 9, 1000, 11],
    // More than is added up in one product.
    [3, 4, 11_000, 5],
  ];

  it.each(["turned", "rows", "channels"] as const)("are the same on all devices, %s", async (way) => {
    const other = await deviceWithoutSubgroups();
    for (const size of sizes) {
      const expected = gradients(cpu, way, size);
      for (const on of [webgpu, other]) {
        for (const [i, gradient] of gradients(on, way, size).entries())
          expectClose(await gradient.data(), await expected[i]!.data(), { rel: 1e-5, abs: 1e-4 });
      }
    }
    other.destroy();
  });

  it("take a launch together", () => {
    const { queue, pool } = (
      webgpu.backend as unknown as { gpu: { queue: { launches: number }; pool: { onFree: unknown } } }
    ).gpu;
    pool.onFree = undefined;
    for (const way of ["turned", "rows", "channels"] as const) {
      const x = webgpu.ones(way === "rows" ? [3, 12, 8] : [3, 8, 12]);
      const [weight, bias] = [webgpu.ones([4, 8]), webgpu.ones([4])].map((t) => T.requireGrad(t));
      const y =
        way === "channels"
          ? T.channelLinear(x, weight!, bias!)
          : T.linear(way === "turned" ? T.transpose(x, 1, 2) : x, weight!, bias!);
      y.view();
      const grad = webgpu.ones(y.shape);
      const before = queue.launches;
      for (const gradient of T.backward(y, { grad }).values()) gradient.view();
      expect(queue.launches - before, way).toBe(1);
    }
  });
});
