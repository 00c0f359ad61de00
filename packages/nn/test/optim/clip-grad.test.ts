import { add, backward, mul, Rng, rand, requireGrad, scope, square, sum, type Tensor } from "@deplsr/tensor";
import { expectClose, testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import { addGradients, clipGradNorm, gradNorm } from "../../src/index.ts";

const device = await testDevice();

it.each(["cpu", "webgpu"] as const)(
  "takes the norm of sums of odd sizes, between which nothing is written, %s",
  async (backend) => {
    const device = await testDevice(backend);
    const sizes = [15, 7, 1, 66];
    const params = sizes.map((size, i) => requireGrad(rand(device, [size], new Rng(i))));
    const both = scope(() => {
      const [first, second] = [1, 2].map((factor) => {
        const parts = params.map((param) => sum(mul(square(param), factor)));
        return backward(parts.reduce((a, b) => add(a, b)));
      });
      return addGradients(first!, second!);
    }) as Map<Tensor, Tensor>;
    let squares = 0;
    for (const gradient of both.values()) for (const value of await gradient.data()) squares += value ** 2;
    expect((await gradNorm(both).item()) / Math.sqrt(squares)).toBeCloseTo(1, 6);
  },
);

describe("clipGradNorm", () => {
  const [p, q] = [device.zeros([2]), device.zeros([1])];
  const grads = new Map([
    [p, device.tensor([3, 0])],
    [q, device.tensor([-4])],
  ]);

  it("scales all gradients by one factor", async () => {
    const { grads: clipped, norm } = clipGradNorm(grads, 1);
    expect(await norm.item()).toBeCloseTo(5, 6);
    expect(norm.shape).toEqual([]);
    expectClose(await clipped.get(p)!.data(), [0.6, 0]);
    expectClose(await clipped.get(q)!.data(), [-0.8]);
  });

  it("takes the norm of gradients of any size, together", async () => {
    const sizes = [0, 3, 2 ** 20 - 2, 5, 0, 2 ** 20 + 7, 1];
    const grads = new Map(
      sizes.map((size, i) => [
        device.zeros([size]),
        device.tensor(
          Float32Array.from({ length: size }, (_, k) => Math.sin(k + i)),
          [size],
        ),
      ]),
    );
    let squares = 0;
    sizes.forEach((size, i) => {
      for (let k = 0; k < size; k++) squares += Math.fround(Math.sin(k + i)) ** 2;
    });
    const { grads: clipped, norm } = clipGradNorm(grads, 0.5);
    expect(Math.abs((await norm.item()) / Math.sqrt(squares) - 1)).toBeLessThan(1e-6);
    for (const [i, grad] of [...clipped.values()].entries()) {
      const values = await grad.data();
      expect(values.length).toBe(sizes[i]);
      if (values.length > 2) expect(values[2]! / (Math.sin(2 + i) * (0.5 / Math.sqrt(squares)))).toBeCloseTo(1, 5);
    }
  });

  it("leaves small gradients alone", async () => {
    const { grads: same } = clipGradNorm(grads, 100);
    expect(await same.get(p)!.data()).toEqual(Float32Array.of(3, 0));
  });

  it("shows a norm that is not finite", async () => {
    const broken = clipGradNorm(new Map([[p, device.tensor([Number.NaN, 1])]]), 1);
    expect(await broken.norm.item()).toBeNaN();
    expect((await broken.grads.get(p)!.data())[1]).toBeNaN();
  });

  it("refuses a limit of 0 and no gradients", () => {
    expect(() => clipGradNorm(grads, 0)).toThrow("clipGradNorm: maxNorm 0 must be above 0");
    expect(() => clipGradNorm(new Map(), 1)).toThrow("clipGradNorm: there are no gradients");
  });
});
