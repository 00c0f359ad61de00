import { describe, expect, it } from "vitest";
import * as T from "../src/index.ts";
import { expectClose, expectNoLeak, testDevice } from "../src/testing.ts";

const gpu = await testDevice();

describe("backward", () => {
  it("adds the gradients of a value that is used twice", async () => {
    const x = T.requireGrad(gpu.tensor([1, 2, 3]));
    const y = x.mul(x).add(x.mul(3));
    expectClose(await T.backward(y.sum()).get(x)!.data(), [5, 7, 9]);
  });

  it("gives gradients of any tensor of the graph", async () => {
    const x = T.requireGrad(gpu.tensor([1, 2]));
    const hidden = x.mul(2);
    const gradients = T.backward(hidden.square().sum(), { wrt: [hidden] });
    expectClose(await gradients.get(hidden)!.data(), [4, 8]);
    expect(gradients.has(x)).toBe(false);
  });

  it("does not follow frozen or detached tensors", () => {
    const x = T.requireGrad(gpu.tensor([1, 2]));
    const y = gpu.tensor([3, 4]);
    expect([...T.backward(x.mul(y).add(T.detach(x)).sum()).keys()]).toEqual([x]);
    expect(T.noGrad(() => x.mul(2)).requiresGrad).toBe(false);
    expect(() => T.backward(y.sum())).toThrow("does not depend on anything that requires a gradient");
    expect(() => T.backward(x.mul(2))).toThrow("is not one number");
  });

  it("recomputes checkpoints, with the gradients of their parameters", async () => {
    const x = T.requireGrad(gpu.tensor([0.5, 1]));
    const w = T.requireGrad(gpu.tensor([2, 3]));
    const block = (input: T.Tensor): T.Tensor => T.tanh(input.mul(w));
    const plain = T.backward(block(x).square().sum());
    const kept = T.backward(T.checkpoint(block, x).square().sum());
    expectClose(await kept.get(x)!.data(), await plain.get(x)!.data());
    expectClose(await kept.get(w)!.data(), await plain.get(w)!.data());
  });
});

describe("checkpoint", () => {
  it("keeps nothing but the result until the backward pass, and nothing after it", async () => {
    const own = await T.Device.request();
    const x = T.requireGrad(own.ones([100, 100]));
    const w = T.requireGrad(own.ones([100, 100]));
    const before = own.memory().liveBuffers;
    T.scope(() => {
      const y = T.checkpoint((input) => T.tanh(T.matmul(T.tanh(T.matmul(input, w)), w)), x);
      expect(own.memory().liveBuffers).toBe(before + 1);
      const gradients = T.backward(y.sum());
      expect([...gradients.keys()]).toEqual([w, x]);
    });
    expect(own.memory().liveBuffers).toBe(before);
  });
});

describe("memory", () => {
  it("frees what a scope made, keeps what it returns", async () => {
    // A device of its own: on the shared one the collector may give back other tests' tensors while this one waits.
    const own = await T.Device.request();
    const before = own.memory().liveBuffers;
    const result = T.scope(() => {
      const x = own.ones([100]);
      x.exp().dense();
      return { y: x.mul(2) };
    });
    expect(own.memory().liveBuffers).toBe(before + 1);
    expectClose((await result.y.data()).slice(0, 1), [2]);
    result.y.dispose();
    expect(own.memory().liveBuffers).toBe(before);
    expect(() => result.y.add(1)).toThrow("add: x f32[100] was disposed (made by `mul`)");
  });

  it("frees everything when the work throws, and refuses graphs and promises", () => {
    const before = gpu.memory().liveBuffers;
    expect(() =>
      T.scope(() => {
        gpu.ones([5]);
        throw new Error("stop");
      }),
    ).toThrow("stop");
    expect(() => T.scope(() => T.requireGrad(gpu.ones([2])).mul(2))).toThrow("still has a graph");
    expect(() => T.scope(() => Promise.resolve(1) as never)).toThrow("asynchronous");
    expect(gpu.memory().liveBuffers).toBe(before);
  });

  it("lets a kept tensor live on", async () => {
    const cache: T.Tensor[] = [];
    T.scope(() => {
      cache.push(T.keep(gpu.tensor([1, 2]).mul(2)));
    });
    expectClose(await cache[0]!.data(), [2, 4]);
    cache[0]!.dispose();
  });

  it("a training step of steady shape makes no new buffers", async () => {
    const w = T.requireGrad(gpu.ones([16, 16]));
    await expectNoLeak(() => {
      const loss = T.gelu(T.linear(gpu.ones([4, 16]), w))
        .square()
        .mean();
      const dw = T.backward(loss).get(w)!;
      T.assign(w, w.sub(dw.mul(0.1)));
    });
  });

  it("names the tensor, its bytes and the limit when it is too large", () => {
    const limit = gpu.info.maxTensorBytes;
    const rows = Math.floor(limit / 4096) + 1;
    expect(() => gpu.zeros([rows, 1024], { label: "huge" })).toThrow(
      `huge f32[${rows}, 1024]: a tensor of ${rows * 4096} bytes is over this adapter's limit of ${limit} bytes`,
    );
  });
});

describe("devices", () => {
  it("two live side by side and do not mix", async () => {
    const other = await T.Device.request();
    const a = gpu.tensor([1, 2]);
    const b = other.tensor([3, 4]);
    expectClose(await b.mul(2).data(), [6, 8]);
    expect(() => a.add(b)).toThrow("add: operands are on two devices");
    other.destroy();
    await expect(b.data()).rejects.toThrow("was destroyed");
    expectClose(await a.mul(2).data(), [2, 4]);
  });

  it("refuses unknown names", async () => {
    await expect(T.Device.request({ backend: "gpu" as never })).rejects.toThrow('backend "gpu" is none of');
    await expect(T.Device.request({ adapter: "best" as never })).rejects.toThrow('adapter "best" is none of');
    await expect(T.Device.request({ backend: "cpu", simd: 512 as never })).rejects.toThrow(
      "simd 512 is none of 128, 256",
    );
  });
});
