import { describe, expect, it } from "vitest";
import { CpuBackend } from "../../src/backends/cpu/backend.ts";
import { type Kernel, kernel } from "../../src/backends/cpu/kernel.ts";
import * as T from "../../src/index.ts";
import { filled } from "../../src/making.ts";

/** A kernel that cannot be made fails the op that asks for it, at once; the device goes on. */

const unwritten = kernel("unwritten", { y: "i32" }, () => {
  throw new Error("internal: no such instruction");
});
const garbled: Kernel = {
  ...kernel("garbled", { y: "i32" }, () => {}),
  encode: () => Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 99, 99),
};
/** Valid, but it reads past the end of the memory when it runs. */
const trapping = kernel("trapping", { y: "i32" }, (f, { y }) => f.units(() => f.store(y, f.let(y.add(-1).i32()), 0)));

describe.each([1, 3])("on %i threads", (threads) => {
  const request = (): { device: T.Device; launch: (which: Kernel, units?: number) => T.Tensor } => {
    const backend = CpuBackend.create({ threads });
    const device = new T.Device(backend);
    const launch = (which: Kernel, units = 4): T.Tensor =>
      filled(device, [4], "f32", "lost", () => backend.engine.launch(which, [-4], units, 1e6));
    return { device, launch };
  };

  it.each([
    {
      what: "cannot be written",
      which: unwritten,
      says: /^kernel unwritten does not compile on the CPU: .*no such instr/,
    },
    { what: "is not valid", which: garbled, says: /^kernel garbled does not compile on the CPU: CompileError: / },
  ])("a kernel that $what fails its op when that is recorded, and nothing else", async ({ which, says }) => {
    const { device, launch } = request();
    const weight = device.tensor([1, 2, 3, 4]);
    const pending = T.exp(weight);
    for (let i = 0; i < 3; i++) {
      const recorded = T.add(weight, i);
      recorded.view();
      const { liveBuffers } = device.memory();
      expect(() => launch(which)).toThrow(says);
      expect(device.memory().liveBuffers).toBe(liveBuffers);
      // As many kernels as there are, others take the place that it did not take.
      expect([...(await T.mul(recorded, 2 + i).data())]).toEqual([1, 2, 3, 4].map((x) => (x + i) * (2 + i)));
      await device.sync();
    }
    expect((await pending.data())[3]).toBeCloseTo(Math.exp(4), 4);
    const big = device.full([300, 300], 0.5);
    expect((await T.matmul(big, big).data())[89_999]).toBe(75);
    device.destroy();
  });

  it("a kernel that traps ends the device, whose memory is not whole then", async () => {
    const { device, launch } = request();
    const weight = device.tensor([1, 2, 3, 4]);
    expect(() => {
      launch(trapping);
      launch(trapping, 64);
    }).toThrow(/failed on the CPU.*this device cannot be used any more/);
    await expect(device.sync()).rejects.toThrow("this device cannot be used any more");
    expect(() => T.add(weight, 1).view()).toThrow("this device cannot be used any more");
    device.destroy();
  });
});
