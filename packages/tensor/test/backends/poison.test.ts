import { describe, expect, it } from "vitest";
import { CpuBackend } from "../../src/backends/cpu/backend.ts";
import { Held, Pool } from "../../src/backends/pool.ts";
import { env } from "../../src/env.ts";
import { DeviceError } from "../../src/errors.ts";
import * as T from "../../src/index.ts";

describe("memory that was given back", () => {
  const held = (): { block: Held<number>; returned: number[] } => {
    const returned: number[] = [];
    const block = new Held({ takeBack: (place: number) => returned.push(place) }, 4096, 512, "sums");
    return { block, returned };
  };

  it("goes back once, when the last holder lets go", () => {
    const { block, returned } = held();
    block.retain();
    block.release();
    expect([block.place, returned]).toEqual([4096, []]);
    block.release();
    expect(returned).toEqual([4096]);
  });

  it("is dead for whoever still has it", () => {
    const { block, returned } = held();
    block.release();
    expect(() => block.release()).toThrow(
      "internal: the memory of sums (512 bytes) is given back after it was given back",
    );
    expect(() => block.retain()).toThrow("is retained after it was given back");
    expect(() => block.place).toThrow("is used after it was given back");
    expect(returned).toEqual([4096]);
  });

  it("stays dead when its place has a new owner", () => {
    const pool = new (class extends Pool<number> {
      #free: number[] = [];
      protected override readonly alignment = 4;
      protected override within = (place: number, offset: number): number => place + offset;
      protected override reuse = (): number | undefined => this.#free.pop();
      protected override create = (): number => 1;
      protected override free = (place: number): void => void this.#free.push(place);
      protected override tooLarge = (): DeviceError => new DeviceError("too large");
      protected override get pooledBytes(): number {
        return 256 * this.#free.length;
      }
    })(2 ** 20);
    const told: [number, number][] = [];
    pool.onFree = (place, bytes) => told.push([place, bytes]);
    const first = pool.take(100, "first");
    first.release();
    const second = pool.take(100, "second");
    expect(second.place).toBe(1);
    expect(() => first.release()).toThrow("the memory of first (256 bytes)");
    // When it was new, and when it came back.
    expect(told).toEqual([
      [1, 256],
      [1, 256],
    ]);
    expect(pool.report()).toMatchObject({ liveBytes: 256, liveBuffers: 1, createdBuffers: 1 });
  });
});

describe("poison", () => {
  const floats = async (backend: CpuBackend, storage: ReturnType<CpuBackend["allocate"]>): Promise<number[]> => [
    ...new Float32Array(await backend.download(storage, 0, storage.bytes)),
  ];

  it.each([1, 3])("fills what is new and what was given back, on %i threads", async (threads) => {
    expect(env().poison).toBe(true);
    const backend = CpuBackend.create({ threads });
    for (const bytes of [4, 1000, 65536, 65540, 3_000_000]) {
      const fresh = backend.allocate(bytes, "fresh");
      expect((await floats(backend, fresh)).every(Number.isNaN)).toBe(true);
      backend.upload(fresh, new Uint8Array(fresh.bytes));
      expect((await floats(backend, fresh)).every((x) => x === 0)).toBe(true);
      fresh.release();
      const again = backend.allocate(bytes, "again");
      expect((await floats(backend, again)).every(Number.isNaN)).toBe(true);
      again.release();
    }
    backend.destroy();
  });

  it("does not come before the launches that still read", async () => {
    const device = new T.Device(CpuBackend.create({ threads: 2 }));
    const x = device.tensor([1, 2, 3]);
    const y = T.add(x, 1);
    y.view();
    x.dispose();
    expect([...(await y.data())]).toEqual([2, 3, 4]);
    device.destroy();
  });

  it("is not told of as a launch", async () => {
    const backend = CpuBackend.create({ threads: 1 });
    const names: string[] = [];
    backend.engine.onLaunch = ({ kernel }) => names.push(kernel);
    const device = new T.Device(backend);
    T.scope(() => void T.exp(device.tensor([1, 2])).view());
    await device.sync();
    expect(names).toEqual(["pointwise"]);
    expect(backend.engine.launched).toBe(1);
    device.destroy();
  });

  it("lets a device be destroyed before its tensors are disposed", () => {
    const device = new T.Device(CpuBackend.create({ threads: 1 }));
    const x = device.ones([10]);
    x.view();
    device.destroy();
    x.dispose();
    expect(device.memory().liveBuffers).toBe(0);
  });
});
