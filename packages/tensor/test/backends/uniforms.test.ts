import { afterAll, describe, expect, it } from "vitest";
import type { WebGPUBackend } from "../../src/backends/webgpu/backend.ts";
import { UniformStore } from "../../src/backends/webgpu/uniforms.ts";
import * as T from "../../src/index.ts";

const device = await T.Device.request({ backend: "webgpu" });
const driver = (device.backend as WebGPUBackend).gpu.device;
afterAll(() => device.destroy());

/** How often `work` has the driver do something. */
async function counted(name: "createBindGroup" | "createBuffer", work: () => Promise<void>): Promise<number> {
  const before = driver[name] as (...given: never[]) => unknown;
  let calls = 0;
  Object.assign(driver, {
    [name]: (...given: never[]) => {
      calls++;
      return before.apply(driver, given);
    },
  });
  await work();
  Object.assign(driver, { [name]: before });
  return calls;
}

describe("the numbers of launches", () => {
  it("are those of each launch, where one submission launches a kernel with the same buffers many times", async () => {
    for (let round = 0; round < 3; round++) {
      const numbers = Array.from({ length: 40 }, (_, i) => ((i * 7 + round) % 13) - 6.5);
      // Two buffers take turns: what is summed so far, and the next sum.
      const result = T.scope(() => {
        let total = device.zeros([5]);
        for (const number of numbers) {
          const next = T.add(total, T.mul(device.ones([5]), number));
          next.view();
          total.dispose();
          total = next;
        }
        return total;
      });
      const sum = numbers.reduce((a, b) => a + b);
      expect(await result.data()).toEqual(new Float32Array(5).fill(sum));
      result.dispose();
    }
  });

  it("are written anew where they change from step to step, into the bind groups that are there", async () => {
    const x = device.tensor([1, 2, 3]);
    const step = async (number: number): Promise<void> => {
      const y = T.scope(() => T.add(T.mul(x, number), 1));
      expect(await y.data()).toEqual(Float32Array.from([1, 2, 3], (value) => Math.fround(value * number) + 1));
      y.dispose();
    };
    for (let i = 0; i < 3; i++) await step(i);
    const made = await counted("createBindGroup", async () => {
      for (let i = 3; i < 20; i++) await step(i * 0.25);
    });
    expect(made).toBe(0);
  });

  it("are theirs after more bind groups than are kept", async () => {
    const x = device.ones([2]);
    const many = Array.from({ length: 130 }, () => device.zeros([2]));
    // Each sum of two others has a bind group of its own: 130 * 130 are more than 16,384.
    for (const [i, a] of many.entries()) {
      T.scope(() => {
        for (const b of many) T.add(T.add(a, T.mul(b, i)), x).view();
      });
      await device.sync();
    }
    const y = T.scope(() => T.add(T.add(many[3]!, T.mul(x, 7)), x));
    expect(await y.data()).toEqual(Float32Array.of(8, 8));
    for (const tensor of [...many, x, y]) tensor.dispose();
  });
});

describe("places of uniforms", () => {
  /** A device that keeps what is written to its buffers. */
  function recording() {
    const written: { readonly buffer: Uint32Array; readonly from: number; readonly words: number }[] = [];
    const fake = {
      createBuffer: ({ size }: { readonly size: number }) => new Uint32Array(size / 4),
      queue: {
        writeBuffer(buffer: Uint32Array, offset: number, data: Uint32Array, from: number, words: number) {
          buffer.set(data.subarray(from, from + words), offset / 4);
          written.push({ buffer, from: offset / 4, words });
        },
      },
    };
    // The cast: as much of a device as a store uses.
    return { written, store: new UniformStore(fake as unknown as GPUDevice) };
  }
  const uniforms = (...words: number[]) => ({ words: Uint32Array.from(words), from: 0 });
  const contents = ({ buffer, offset }: { buffer: GPUBuffer; offset: number }, words: number) => [
    ...(buffer as unknown as Uint32Array).subarray(offset / 4, offset / 4 + words),
  ];

  it("hold what was put there, never overlap, and are written together where they are neighbours", () => {
    const { store, written } = recording();
    const sizes = Array.from({ length: 400 }, (_, i) => 16 * ((i % 3 === 0 ? 20 : 0) + 1 + (i % 5)));
    const slots = sizes.map((bytes) => store.take(bytes));
    const words = sizes.map((bytes, i) => uniforms(...Array.from({ length: bytes / 4 }, (_, k) => 1000 * i + k)));
    for (const [i, slot] of slots.entries()) store.put(slot, words[i]!);
    store.write();
    for (const [i, slot] of slots.entries()) {
      expect(slot.offset % 256).toBe(0);
      expect(contents(slot, sizes[i]! / 4)).toEqual([...words[i]!.words]);
    }
    expect(written).toHaveLength(new Set(slots.map(({ buffer }) => buffer)).size);
    written.length = 0;
    for (const [i, slot] of slots.entries()) store.put(slot, words[i]!);
    store.write();
    expect(written).toEqual([]);
    store.put(slots[0]!, uniforms(...new Array(sizes[0]! / 4).fill(9)));
    store.put(slots[100]!, uniforms(...new Array(sizes[100]! / 4).fill(8)));
    store.write();
    expect(written.map(({ words }) => words)).toEqual([sizes[0]! / 4, sizes[100]! / 4]);
    expect(contents(slots[1]!, sizes[1]! / 4)).toEqual([...words[1]!.words]);
  });

  it("are taken again once they were given back, by what has their size", () => {
    const { store } = recording();
    const [small, large] = [store.take(16), store.take(512)];
    store.giveBack(small);
    store.giveBack(large);
    expect(store.take(272).offset).toBe(large.offset);
    const again = store.take(64);
    expect(again.offset).toBe(small.offset);
    store.put(again, uniforms(...new Array(16).fill(5)));
    store.write();
    expect(contents(again, 16)).toEqual(new Array(16).fill(5));
  });
});
