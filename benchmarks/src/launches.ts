/**
 * How many launches WebGPU is given, which is what a small step is bound by: `npm run bench:launches`. Nothing is timed; every launch that is recorded
 * counts, copies and second launches of split sums and products too.
 */
import { ResidualAttentionBlock, VIT_B_32, VisionTransformer } from "@deplsr/clip";
import { DAT, DAT_X2 } from "@deplsr/dat";
import { Adam, clipGradNorm, Ema, inference, l1Loss, type Mode } from "@deplsr/nn";
import { REALDAT_LIGHT_X2, RealDAT } from "@deplsr/srclip";
import { add, backward, Device, noGrad, Rng, requireGrad, scope, square, sum, type Tensor } from "@deplsr/tensor";

const device = await Device.request({ backend: "webgpu" });
const { queue } = (device.backend as unknown as { readonly gpu: { readonly queue: { readonly launches: number } } })
  .gpu;
const init = { device, rng: new Rng(1) };

/** Launches of something whose second run is counted: the first one may make what is kept. */
async function count(work: () => void): Promise<number> {
  const run = (): void =>
    scope(() => {
      work();
    });
  run();
  await device.sync();
  const before = queue.launches;
  run();
  await device.sync();
  return queue.launches - before;
}

function random(shape: readonly number[]): Tensor {
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(i));
  return device.tensor(values, shape);
}

/** A module's forward pass of one image without gradients, and of two, as batch normalisation needs them, with all of them. */
async function countBoth(
  name: string,
  shape: readonly number[],
  forward: (x: Tensor, mode: Mode) => Tensor,
): Promise<void> {
  const x = random([1, ...shape]);
  const inferring = await count(() => noGrad(() => forward(x, inference)).view());
  const input = requireGrad(random([2, ...shape]));
  const mode = { training: true, rng: new Rng(2) };
  const training = await count(() => {
    for (const gradient of backward(sum(forward(input, mode))).values()) gradient.view();
  });
  rows.push([name, inferring, training]);
}

const rows: [name: string, forward: number, withGradient: number][] = [];
const block = new ResidualAttentionBlock(
  { width: 768, layers: 1, heads: 12, mlpRatio: 4, layerScale: null, quickGelu: false },
  init,
);
await countBoth("block of ViT-B/32", [50, 768], (x) => block.forward(x));
const dat = new DAT({ ...DAT_X2, depth: [4], numHeads: [6], dropPathRate: 0 }, init);
const side = 64;
const kinds = ["spatial", "channel", "shifted", "channel"];
for (const [i, datBlock] of dat.layers[0]!.blocks.slice(0, 3).entries()) {
  await countBoth(`DAT block of width 180, ${kinds[i]}`, [side * side, 180], (x, mode) =>
    datBlock.forward(x, [side, side], mode),
  );
}

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
for (const [name, forward, both] of rows) console.log(`| ${name} | ${forward} | ${both} |`);
for (const [name, { forward, ...parts }] of [
  ["RealDAT-light x2, a step of 2 squares of 32", light],
  ["the visual tower of ViT-B/32, its parameters alone", visual],
] as const) {
  const total = Object.values(parts).reduce((a, b) => a + b, forward ?? 0);
  console.log(`${name}: ${total} (${JSON.stringify({ forward, ...parts })})`);
}
device.destroy();
