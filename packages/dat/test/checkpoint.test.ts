import { l1Loss } from "@deplsr/nn";
import { backward, type Device, Rng, rand, scope, type Tensor } from "@deplsr/tensor";
import { expectClose, testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import { configFromReference } from "../src/keys.ts";
import { DAT } from "../src/model.ts";

const device = await testDevice();
const CONFIG = {
  ...configFromReference({
    img_size: 16,
    embed_dim: 32,
    depth: [4],
    num_heads: [2],
    split_size: [2, 4],
    expansion_factor: 2,
    drop_path_rate: 0.3,
    upscale: 2,
    upsampler: "pixelshuffledirect",
  }),
  dropRate: 0.1,
  attnDropRate: 0.1,
};

/** One training step without its update: gradients, statistics and the draws that come after it. */
async function step(at: Device, checkpoint: boolean): Promise<Map<string, ArrayLike<number>>> {
  const model = new DAT(CONFIG, { device: at, rng: new Rng(7) });
  const rng = new Rng(3);
  const x = rand(at, [2, 3, 12, 12], new Rng(1));
  const y = rand(at, [2, 3, 24, 24], new Rng(2));
  const names = new Map([...model.parameters()].map(([name, tensor]) => [tensor, name]));
  const found = scope(() => {
    const output = model.forward(x, { mode: { training: true, rng }, checkpoint });
    const gradients = backward(l1Loss(output, y));
    return new Map([...gradients].map(([tensor, gradient]) => [names.get(tensor)!, gradient]));
  });
  const all: [string, Tensor][] = [...found, ...model.buffers()];
  const values = await Promise.all(all.map(async ([name, tensor]) => [name, await tensor.data()] as const));
  for (const gradient of found.values()) gradient.dispose();
  model.dispose();
  return new Map<string, ArrayLike<number>>([...values, ["next draw", [rng.uniform()]]]);
}

describe("a checkpointed DAT", () => {
  it("has the gradients, statistics and draws of one that keeps its activations, with dropout of all kinds", async () => {
    const [plain, again] = [await step(device, false), await step(device, true)];
    expect([...again.keys()].sort()).toEqual([...plain.keys()].sort());
    for (const [name, values] of again) {
      const right = plain.get(name)!;
      const largest = Array.from(right).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expectClose(values, right, { rel: 1e-4, abs: 1e-5 * largest }, name);
    }
    const moved = [...again].filter(([name]) => name.endsWith("num_batches_tracked"));
    expect(moved.length).toBeGreaterThan(8);
    for (const [name, values] of moved) expect([name, values[0]]).toEqual([name, 1]);
  });

  it("holds less", async () => {
    const model = new DAT(CONFIG, { device, rng: new Rng(7) });
    const x = rand(device, [2, 3, 24, 24], new Rng(1));
    const heldBy = (checkpoint: boolean): number =>
      scope(() => {
        const before = device.memory().liveBytes;
        const output = model.forward(x, { mode: { training: true, rng: new Rng(3) }, checkpoint });
        output.dense();
        return device.memory().liveBytes - before;
      });
    expect(heldBy(true)).toBeLessThan(heldBy(false) / 4);
    model.dispose();
    await device.sync();
  });
});
