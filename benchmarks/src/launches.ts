/**
 * How many launches WebGPU is given, which is what a small step is bound by: `npm run bench:launches`. Nothing is timed; every launch that is recorded
 * counts, copies and second launches of split sums and products too.
 */
import { ResidualAttentionBlock } from "@deplsr/clip";
import { DAT, DAT_X2 } from "@deplsr/dat";
import { Adam, clipGradNorm, inference, l1Loss, type Mode } from "@deplsr/nn";
import { REALDAT_LIGHT_X2, RealDAT } from "@deplsr/srclip";
import { backward, Device, noGrad, Rng, requireGrad, scope, sum, type Tensor } from "@deplsr/tensor";

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
const parts = { forward: 0, backward: 0, clipping: 0, Adam: 0 };
for (let step = 0; step < 2; step++) {
  const marks = [queue.launches];
  scope(() => {
    const mode = { training: true, rng: new Rng(step) };
    const loss = l1Loss(network.forward(lq, { mode, prompt }), gt);
    loss.view();
    marks.push(queue.launches);
    const gradients = backward(loss);
    marks.push(queue.launches);
    const { grads } = clipGradNorm(gradients, 1);
    marks.push(queue.launches);
    optimizer.step(grads);
    marks.push(queue.launches);
  });
  await device.sync();
  Object.keys(parts).forEach((name, i) => {
    parts[name as keyof typeof parts] = marks[i + 1]! - marks[i]!;
  });
}

console.log("| | forward | with gradient |\n|---|---|---|");
for (const [name, forward, both] of rows) console.log(`| ${name} | ${forward} | ${both} |`);
const total = Object.values(parts).reduce((a, b) => a + b);
console.log(`RealDAT-light x2, a step of 2 squares of 32: ${total} (${JSON.stringify(parts)})`);
device.destroy();
