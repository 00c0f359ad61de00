import { afterAll, describe, expect, it } from "vitest";
import * as T from "../../src/index.ts";
import { seeded } from "../../src/testing.ts";

const device = await T.Device.request();
afterAll(() => device.destroy());

const filled = (length: number, value: number): number[] => new Array<number>(length).fill(value);

describe("a read", () => {
  it("gives the values of before a write that is recorded after it", async () => {
    const x = device.tensor([1, 2, 3]);
    const before = x.data();
    T.assign(x, device.tensor([7, 8, 9]));
    const after = x.data();
    expect([...(await before)]).toEqual([1, 2, 3]);
    expect([...(await after)]).toEqual([7, 8, 9]);
  });

  it("gives them to many at once, with launches, uploads and writes in place between", async () => {
    const length = 1000;
    const number = (value: number): T.Tensor => device.tensor(filled(length, value));
    const [param, expAvg, expAvgSq] = [number(0), number(0), number(0)];
    const grad = number(-1);
    const random = seeded(11);
    let expected = 0;
    const reads: { values: Promise<T.HostArray>; expected: number }[] = [];
    for (let step = 1; step <= 400; step++) {
      if (random() < 0.3) reads.push({ values: param.data(), expected });
      if (random() < 0.5) {
        // A step of 1: with these settings Adam's direction is the sign of the gradient.
        const settings = { lr: 1, beta1: 0, beta2: 0, eps: 0, weightDecay: 0, decoupled: false, step: 1 };
        T.adamStep({ param, grad, expAvg, expAvgSq, ...settings });
        expected += 1;
      } else {
        expected = step / 4;
        const uploaded = device.tensor(filled(length, expected));
        T.assign(param, uploaded);
        uploaded.dispose();
      }
      if (random() < 0.3) reads.push({ values: param.data(), expected });
      if (random() < 0.05) await device.sync();
    }
    expect(reads.length).toBeGreaterThan(100);
    for (const read of reads) expect([...(await read.values)]).toEqual(filled(length, read.expected));
    for (const x of [param, expAvg, expAvgSq, grad]) x.dispose();
  });

  it("gives the values of a tensor that is disposed at once and whose memory is written again", async () => {
    const x = T.add(device.tensor(filled(500, 3)), 1);
    const values = x.data();
    x.dispose();
    const next = device.full([500], 100);
    next.view();
    expect([...(await values)]).toEqual(filled(500, 4));
  });

  it("takes bytes from the middle, of any number", async () => {
    const { backend } = device;
    const storage = backend.allocate(20, "bytes");
    backend.upload(
      storage,
      Uint8Array.from({ length: 19 }, (_, i) => i),
    );
    const bytes = async (offset: number, count: number): Promise<number[]> => [
      ...new Uint8Array(await backend.download(storage, offset, count)),
    ];
    expect(await Promise.all([bytes(0, 3), bytes(4, 6), bytes(8, 11), bytes(16, 0)])).toEqual([
      [0, 1, 2],
      [4, 5, 6, 7, 8, 9],
      [8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18],
      [],
    ]);
    storage.release();
  });
});

describe("memory that was given back", () => {
  it("is refused by launches, uploads and reads", async () => {
    const { backend } = device;
    const view = (label: string): Parameters<typeof backend.copy>[0]["out"] => {
      const layout = { shape: [64], strides: [1], offset: 0 };
      return { storage: backend.allocate(256, label), layout, dtype: "f32" };
    };
    const [out, input] = [view("kept"), view("dropped")];
    input.storage.release();
    expect(() => backend.copy({ out, input })).toThrow("the memory of dropped (256 bytes) is used after it was given");
    expect(() => backend.upload(input.storage, new Uint8Array(4))).toThrow("the memory of dropped");
    await expect(async () => backend.download(input.storage, 0, 4)).rejects.toThrow("the memory of dropped");
    out.storage.release();
  });

  it("cannot be given back or retained once more, whoever has it now", () => {
    const { backend } = device;
    const first = backend.allocate(4096, "first");
    first.release();
    const second = backend.allocate(4096, "second");
    expect(() => first.release()).toThrow("the memory of first (4096 bytes) is given back after it was given back");
    expect(() => first.retain()).toThrow("the memory of first (4096 bytes) is retained after it was given back");
    expect(second.references).toBe(1);
    second.release();
  });
});
