/**
 * How many launches WebGPU is given, which is what a small step is bound by: `npm run bench:launches`. Nothing is timed; every launch that is recorded
 * counts, copies and second launches of split sums and products too.
 */
import { VIT_B_32, VisionTransformer } from "@deplsr/clip";
import { Adam, clipGradNorm, Ema, l1Loss } from "@deplsr/nn";
import { REALDAT_LIGHT_X2, RealDAT } from "@deplsr/srclip";
import { add, backward, Device, Rng, scope, square, sum, type Tensor } from "@deplsr/tensor";
import { countBlocks, countLightBlocks, launchesOf, numbers } from "./block-launches.ts";

const device = await Device.request({ backend: "webgpu" });
const queue = launchesOf(device);
const init = { device, rng: new Rng(1) };

const random = (shape: readonly number[]): Tensor => numbers(device, shape);
const rows = { ...(await countBlocks(device, 64)), ...(await countLightBlocks(device, 32)) };

const network = new RealDAT({ ...REALDAT_LIGHT_X2, dropPathRate: 0 }, init);
const optimizer = new Adam([{ params: network.parameters(), lr: 1e-4 }]);
const [lq, gt] = [random([2, 3, 32, 32]), random([2, 3, 64, 64])];
const prompt = { content: random([2, 1, 512]), degradation: random([2, 5, 512]) };
const ema = new Ema(network, 0.999);

type Parts = Record<string, number>;

/** Launches of what follows a backward pass, the gradients of which `loss` has to be asked for. */
function finish(loss: Tensor, own: Adam, average: Ema, count: (part: string) => void): void {
  const gradients = backward(loss);
  for (const gradient of gradients.values()) gradient.view();
  count("backward");
  const { grads } = clipGradNorm(gradients, 1);
  count("clipping");
  own.step(grads);
  count("Adam");
  average.update();
  count("Ema");
}

/** Launches of each part of the third step: the first one lays the parameters side by side, the second the averages. */
async function countStep(step: (count: (part: string) => void) => void): Promise<Parts> {
  const parts: Parts = {};
  for (let i = 0; i < 3; i++) {
    let before = queue.launches;
    scope(() => {
      step((part) => {
        parts[part] = queue.launches - before;
        before = queue.launches;
      });
    });
    await device.sync();
  }
  return parts;
}

const light = await countStep((count) => {
  const mode = { training: true, rng: new Rng(1) };
  const loss = l1Loss(network.forward(lq, { mode, prompt }), gt);
  loss.view();
  count("forward");
  finish(loss, optimizer, ema, count);
});

// Its parameters alone: their squares are summed.
const tower = VisionTransformer.make(VIT_B_32, init);
const towerAdam = new Adam([{ params: tower.parameters(), lr: 1e-4 }]);
const towerEma = new Ema(tower, 0.999);
const visual = await countStep((count) => {
  const squares = [...tower.parameters().values()].map((parameter) => sum(square(parameter)));
  const loss = squares.reduce((a, b) => add(a, b));
  loss.view();
  count("forward");
  finish(loss, towerAdam, towerEma, count);
});

console.log("| | forward | with gradient |\n|---|---|---|");
for (const [name, row] of Object.entries(rows)) console.log(`| ${name} | ${row.forward} | ${row.withGradient} |`);
for (const [name, { forward, ...parts }] of [
  ["RealDAT-light x2, a step of 2 squares of 32", light],
  ["the visual tower of ViT-B/32, its parameters alone", visual],
] as const) {
  const total = Object.values(parts).reduce((a, b) => a + b, forward ?? 0);
  console.log(`${name}: ${total} (${JSON.stringify({ forward, ...parts })})`);
}
device.destroy();
