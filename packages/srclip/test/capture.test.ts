import { createHash } from "node:crypto";
import { Adam, clipGradNorm, Ema, l1Loss } from "@deplsr/nn";
import { backward, Device, detach, Rng, rand, scope, type Tensor } from "@deplsr/tensor";
import { expect, it } from "vitest";
import { RealDAT, realDATConfigFromReference } from "../src/index.ts";

const device = await Device.request({ backend: "webgpu" });

const CONFIG = realDATConfigFromReference({
  img_size: 8,
  embed_dim: 32,
  split_size: [2, 4],
  depth: [2],
  num_heads: [2],
  expansion_factor: 2,
  upscale: 2,
  drop_path_rate: 0.2,
  upsampler: "pixelshuffledirect",
  fusion_num_heads: 2,
  clip_dim: 16,
});

/** A training of a RealDAT that draws its drop path, clips its gradients and averages its weights. */
class Training {
  readonly network = new RealDAT(CONFIG, { device, rng: new Rng(1) });
  readonly optimizer = new Adam([{ params: this.network.parameters(), lr: 1 }]);
  readonly ema = new Ema(this.network, 0.9);
  runs = 0;

  readonly step = (lq: Tensor, gt: Tensor, content: Tensor, degradation: Tensor, rng: Rng): Tensor => {
    this.runs++;
    const mode = { training: true, rng };
    const loss = l1Loss(this.network.forward(lq, { mode, prompt: { content, degradation } }), gt);
    this.optimizer.step(clipGradNorm(backward(loss), 0.1).grads);
    this.ema.update();
    return detach(loss);
  };

  run(step: Training["step"], i: number): Tensor {
    const rng = new Rng(10 + i);
    this.optimizer.setLearningRate(1e-2 / (i + 1));
    return scope(() =>
      step(
        rand(device, [2, 3, 8, 8], rng),
        rand(device, [2, 3, 16, 16], rng),
        rand(device, [2, 1, 16], rng),
        rand(device, [2, 5, 16], rng),
        rng,
      ),
    ) as Tensor;
  }

  /** Sums of all that it has, by name. */
  async digests(): Promise<Record<string, string>> {
    const averages = Array.from(this.ema.stateDict(), ([name, tensor]) => [`ema.${name}`, tensor] as const);
    const all = [...this.network.stateDict(), ...averages, ...this.optimizer.stateDict().tensors];
    const digest = async (tensor: Tensor): Promise<string> =>
      createHash("sha256")
        .update(await tensor.data())
        .digest("base64");
    return Object.fromEntries(
      await Promise.all(all.map(async ([name, tensor]) => [name, await digest(tensor)] as const)),
    );
  }
}

it("has the bits of a training of RealDAT where its steps are captured, and runs their JavaScript twice", async () => {
  const [plain, captured] = [new Training(), new Training()];
  const step = device.capture(captured.step);
  for (let i = 0; i < 7; i++) {
    const [expected, loss] = [plain.run(plain.step, i), captured.run(step, i)];
    if (i % 3 === 2) expect(await loss.item()).toBe(await expected.item());
    if (i === 4) expect(await captured.digests()).toEqual(await plain.digests());
    await device.pace();
  }
  expect(await captured.digests()).toEqual(await plain.digests());
  expect(captured.runs).toBe(2);
}, 300_000);
