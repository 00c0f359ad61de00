/**
 * A whole training of a tiny SrCLIP and of a tiny RealDAT that it guides, from seeds alone. Prints the losses, and SHA-256 sums of all weights
 * and buffers, of the optimizers' moments and of the moving averages: one line, the same in every process.
 */
import { createHash } from "node:crypto";
import { clampLogitScale } from "@deplsr/clip";
import { Adam, AdamW, clipGradNorm, Ema, l1Loss } from "@deplsr/nn";
import { backward, Device, noGrad, Rng, rand, reshape, scope, type Tensor } from "@deplsr/tensor";
import { parameterGroups, RealDAT, realDATConfigFromReference, SrCLIPV2, srclipLoss } from "../src/index.ts";
import { TINY, textIds } from "./published-numbers.ts";

const STEPS = 3;
const seed = new Rng(7);
const device = await Device.request();
const losses: number[] = [];

const srclip = new SrCLIPV2(TINY, { device, rng: seed.fork("srclip") });
srclip.lockCLIP();
const adamW = new AdamW(parameterGroups(srclip, { lr: 1e-3, betas: [0.9, 0.98], weightDecay: 0.2 }));
const ids = Int32Array.from([0, 1].flatMap((b) => [0, 1, 2, 3, 4, 5, 6].flatMap((r) => textIds((b + r) % 3))));
for (let step = 0; step < STEPS; step++) {
  const loss = scope(() => {
    const image = rand(device, [2, 3, 32, 32], seed.fork("images").fork(step));
    const { total } = srclipLoss(srclip.forward({ image, ids }), { kind: "clip" });
    adamW.step(clipGradNorm(backward(total), 1).grads);
    clampLogitScale(srclip.logitScale);
    return total;
  });
  losses.push(await loss.item());
}

const config = realDATConfigFromReference({
  img_size: 8,
  embed_dim: 64,
  split_size: [2, 4],
  depth: [2, 1],
  num_heads: [2, 2],
  expansion_factor: 2,
  upscale: 2,
  drop_path_rate: 0.2,
  upsampler: "pixelshuffledirect",
  fusion_num_heads: 2,
  clip_dim: TINY.clip.embedDim,
});
const realdat = new RealDAT(config, { device, rng: seed.fork("realdat") });
const adam = new Adam([{ params: realdat.parameters(), lr: 1e-3 }]);
const ema = new Ema(realdat, 0.9);
for (let step = 0; step < STEPS; step++) {
  const loss = scope(() => {
    const rng = seed.fork("patches").fork(step);
    const target = rand(device, [2, 3, 16, 16], rng);
    const features = noGrad(() => srclip.encodeImage(rand(device, [2, 3, 32, 32], rng)));
    const prompt = { content: reshape(features.content, [2, 1, -1]), degradation: features.fine! };
    const mode = { training: true, rng: seed.fork("drops").fork(step) };
    const difference = l1Loss(realdat.forward(rand(device, [2, 3, 8, 8], rng), { mode, prompt }), target);
    adam.step(backward(difference));
    ema.update();
    return difference;
  });
  losses.push(await loss.item());
}

async function sum(...parts: readonly ReadonlyMap<string, Tensor>[]): Promise<string> {
  const hash = createHash("sha256");
  for (const [name, tensor] of parts.flatMap((part) => [...part])) {
    const { buffer, byteOffset, byteLength } = await tensor.data();
    hash.update(`${name} ${tensor.shape}\n`).update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest("hex");
}

const result = {
  losses,
  weights: await sum(srclip.stateDict(), realdat.stateDict()),
  moments: await sum(adamW.stateDict().tensors, adam.stateDict().tensors),
  averages: await sum(ema.stateDict()),
};
console.log(JSON.stringify(result));
device.destroy();
