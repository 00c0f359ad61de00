/** How many launches the blocks of our transformers are on WebGPU. */
import { ResidualAttentionBlock } from "@deplsr/clip";
import { DAT, DAT_LIGHT_X2, DAT_X2 } from "@deplsr/dat";
import { inference, type Mode } from "@deplsr/nn";
import { backward, type Device, noGrad, Rng, requireGrad, scope, sum, type Tensor } from "@deplsr/tensor";

/** What counts launches. */
export function launchesOf(device: Device): { readonly launches: number } {
  return (device.backend as unknown as { readonly gpu: { readonly queue: { readonly launches: number } } }).gpu.queue;
}

/** Any numbers. */
export function numbers(device: Device, shape: readonly number[]): Tensor {
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(i));
  return device.tensor(values, shape);
}

/** Launches of something whose second run is counted: the first one may make what is kept. */
async function count(device: Device, work: () => void): Promise<number> {
  const queue = launchesOf(device);
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

/** A block's forward pass of one image without gradients, and of two, as batch normalisation needs them, with all of them. */
export interface BlockLaunches {
  readonly forward: number;
  readonly withGradient: number;
}

async function countBoth(
  device: Device,
  shape: readonly number[],
  forward: (x: Tensor, mode: Mode) => Tensor,
  gradients: boolean,
): Promise<BlockLaunches> {
  const x = numbers(device, [1, ...shape]);
  const inferring = await count(device, () => noGrad(() => forward(x, inference)).view());
  if (!gradients) return { forward: inferring, withGradient: 0 };
  const input = requireGrad(numbers(device, [2, ...shape]));
  const mode = { training: true, rng: new Rng(2) };
  const training = await count(device, () => {
    for (const gradient of backward(sum(forward(input, mode))).values()) gradient.view();
  });
  return { forward: inferring, withGradient: training };
}

/** A block of ViT-B/32, and those of a DAT of width 180 over so many positions along each side; 0 for what is not asked for. */
export async function countBlocks(
  device: Device,
  side: number,
  gradients = true,
): Promise<Record<string, BlockLaunches>> {
  const init = { device, rng: new Rng(1) };
  const options = { width: 768, layers: 1, heads: 12, mlpRatio: 4, layerScale: null, quickGelu: false };
  const block = new ResidualAttentionBlock(options, init);
  const counts = { "block of ViT-B/32": await countBoth(device, [50, 768], (x) => block.forward(x), gradients) };
  const dat = new DAT({ ...DAT_X2, depth: [4], numHeads: [6], dropPathRate: 0 }, init);
  return { ...counts, ...(await countDat(device, dat, side, gradients)) };
}

/** The blocks of DAT-light, which is of width 60. */
export async function countLightBlocks(device: Device, side: number): Promise<Record<string, BlockLaunches>> {
  const dat = new DAT({ ...DAT_LIGHT_X2, depth: [4], dropPathRate: 0 }, { device, rng: new Rng(1) });
  return countDat(device, dat, side, true);
}

async function countDat(
  device: Device,
  dat: DAT,
  side: number,
  gradients: boolean,
): Promise<Record<string, BlockLaunches>> {
  const [spatial, channel, shifted] = dat.layers[0]!.blocks;
  const all = { spatial: spatial!, channel: channel!, shifted: shifted! };
  const { embedDim } = dat.config;
  const rows: Record<string, BlockLaunches> = {};
  for (const [kind, own] of Object.entries(all)) {
    rows[`DAT block of width ${embedDim}, ${kind}`] = await countBoth(
      device,
      [side * side, embedDim],
      (x, mode) => own.forward(x, [side, side], mode),
      gradients,
    );
  }
  return rows;
}
