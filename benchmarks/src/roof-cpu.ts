/**
 * The ceilings of the CPU backend on as many threads as it has: what WebAssembly's vectors reach in a copy and in multiply-adds that
 * stay in registers. Written with the backend's own assembler and run by its own threads, so that nothing else differs.
 */
import type { CpuBackend } from "../../packages/tensor/src/backends/cpu/backend.ts";
import { type Kernel, kernel } from "../../packages/tensor/src/backends/cpu/kernel.ts";
import { f32x4 } from "../../packages/tensor/src/backends/cpu/wasm/values.ts";
import type { Ours } from "./ours.ts";
import type { Roof } from "./roof.ts";
import type { Task } from "./task.ts";

const UNITS = 64;
/** Floats of a copy: larger than the caches of a core. */
const COUNT = 1 << 22;
const STEPS = 1 << 15;
/** Chains that do not wait for each other: enough for two multiply-adds a cycle of latency four. */
const CHAINS = 10;
const ARGUMENTS = { x: "i32", y: "i32" } as const;

/** A unit copies its part. */
const copyKernel = kernel("roof-copy", ARGUMENTS, (f, { x, y }) => {
  f.units((unit) => {
    const bytes = (4 * COUNT) / UNITS;
    const [from, to] = [f.let(x.add(unit.mul(bytes))), f.let(y.add(unit.mul(bytes)))];
    f.range(0, bytes, 64, () => {
      for (const at of [0, 16, 32, 48]) f.store(to, from.f32x4(at), at);
      f.advance(from, 64);
      f.advance(to, 64);
    });
  });
});

/**
 * A unit runs chains of `p = p·a + b` from 0 and stores their sum, twice. They tend to b / (1 − a), so nothing grows or vanishes. Where
 * engines make one instruction of two, there are twice as many chains, in neighbours, and half as many steps.
 */
const multiplyAddKernel = kernel("roof-multiply-add", ARGUMENTS, (f, { x, y }) => {
  f.units((unit) => {
    const [a, b] = [f.let(x.splatF32()), f.let(x.splatF32(4))];
    const sides = Array.from({ length: f.target.wide ? 2 : 1 }, () =>
      Array.from({ length: CHAINS }, () => f.let(f32x4(0))),
    );
    f.range(0, STEPS / sides.length, 1, () => {
      for (let i = 0; i < CHAINS; i++) for (const chains of sides) f.set(chains[i]!, f.fma(chains[i]!, a, b));
    });
    const sums = sides.map((chains) => f.let(chains.reduce((one, other) => one.add(other))));
    const to = f.let(y.add(unit.mul(32)));
    f.store(to, sums[0]!);
    f.store(to, sums.at(-1)!, 16);
  });
});

/** Runs a kernel over two tensors, the second its result. */
async function launching(
  { device, wait }: Ours,
  kernel: Kernel<typeof ARGUMENTS>,
  input: Float32Array,
  count: number,
): Promise<Task> {
  const { engine } = device.backend as CpuBackend;
  const [x, y] = [device.tensor(input), device.zeros([count])];
  await wait();
  const launch = (): void => {
    engine.launch(kernel, { x: engine.address(x.view()), y: engine.address(y.view()) }, UNITS, 1e6);
  };
  return {
    async result() {
      launch();
      return Float32Array.from(await y.data());
    },
    async run(times) {
      for (let i = 0; i < times; i++) launch();
      await wait();
    },
    dispose() {
      x.dispose();
      y.dispose();
    },
  };
}

/** `bytes` in GB/s of copying (read and written), `flops` in GFLOP/s. */
export const cpuRoofs: Readonly<Record<"bytes" | "flops", Roof>> = {
  bytes: {
    amount: () => 2 * 4 * COUNT,
    row: {
      name: "copy by WebAssembly",
      shape: "f32",
      tolerance: 0,
      reference: () => new Float64Array(COUNT).fill(1),
      tasks: { ours: [(ours) => launching(ours, copyKernel, new Float32Array(COUNT).fill(1), COUNT)] },
    },
  },
  flops: {
    amount: () => UNITS * STEPS * CHAINS * 4 * 2,
    row: {
      name: "multiply-add by WebAssembly",
      shape: "f32",
      tolerance: 1e-5,
      reference: () => new Float64Array(8 * UNITS).fill(CHAINS * 2),
      tasks: { ours: [(ours) => launching(ours, multiplyAddKernel, Float32Array.of(0.75, 0.5), 8 * UNITS)] },
    },
  },
};
