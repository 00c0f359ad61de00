import { afterAll, expect, it } from "vitest";
import type { WebGPUBackend } from "../../src/backends/webgpu/backend.ts";
import { kernel } from "../../src/backends/webgpu/kernel.ts";
import * as T from "../../src/index.ts";
import { denseLayout } from "../../src/layout.ts";

const device = await T.Device.request({ backend: "webgpu" });
const { gpu } = device.backend as WebGPUBackend;
afterAll(() => device.destroy());

const quotients = kernel("quotients", () => ({
  inputs: { x: "u32", d: "u32" },
  outputs: { q: "u32" },
  uniforms: { count: "u32" },
  workgroupSize: 64,
  source: `
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u) { if (id.x < u.count) { q[id.x] = quotient(x[id.x], d[id.x]); } }`,
}));

it("divides whole numbers exactly, however large", async () => {
  const rng = new T.Rng(5);
  const pairs: [x: number, d: number][] = [];
  const around = (value: number): number[] => [-2, -1, 0, 1, 2].map((by) => value + by);
  const fits = (value: number): boolean => value >= 0 && value < 2 ** 32;
  // Where the quotient changes, for small and large divisors; and anything.
  for (const d of [
    1,
    2,
    3,
    5,
    7,
    10,
    30,
    60,
    64,
    180,
    255,
    1000,
    4096,
    65_535,
    65_537,
    1_000_003,
    2 ** 24 + 1,
    2 ** 30,
    2 ** 31 - 1,
  ]) {
    for (const times of [0, 1, 2, 3, 1000, 4097, 2 ** 16, 2 ** 20 - 1, 2 ** 24 + 1, Math.floor((2 ** 32 - 3) / d)]) {
      for (const x of around(times * d)) if (fits(x)) pairs.push([x, d]);
    }
    for (const x of around(2 ** 32 - 3)) if (fits(x)) pairs.push([x, d]);
  }
  for (let i = 0; i < 20_000; i++) {
    const bits = (most: number): number => Math.floor(2 ** (rng.uniform() * most));
    pairs.push([Math.min(2 ** 32 - 1, bits(32)), Math.min(2 ** 31 - 1, bits(31))]);
  }
  const count = pairs.length;
  const column = (at: 0 | 1): T.Tensor =>
    device.tensor(
      Uint32Array.from(pairs, (pair) => pair[at]),
      [count],
    );
  const [x, d] = [column(0), column(1)];
  const out = device.tensor(new Uint32Array(count), [count]);
  const view = (tensor: T.Tensor) => ({ ...tensor.view("test"), layout: denseLayout([count]) });
  quotients.run(gpu, {
    template: {},
    operands: { x: view(x), d: view(d), q: view(out) },
    uniforms: { count },
    workgroups: Math.ceil(count / 64),
  });
  const wrong = [...(await out.data())].flatMap((q, i) => {
    const [x, d] = pairs[i]!;
    return q === Math.floor(x / d) ? [] : [`${x} / ${d} = ${q}`];
  });
  expect(wrong).toEqual([]);
});
