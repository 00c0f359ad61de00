import {
  blurKernel,
  degradeSecondOrder,
  degradeSemantic,
  drawSecondOrder,
  drawSemantic,
  type NoiseDraw,
  padKernel,
  SECOND_ORDER_OPTIONS,
  type SecondOrderDraw,
  type SemanticDraw,
  usmKernel,
} from "@deplsr/degradation";
import { noGrad, type Tensor } from "@deplsr/tensor";
import { operationOfOurs } from "../ours.ts";
import { torchTask } from "../peers/torch.ts";
import type { Row } from "../row.ts";
import type { Feeds } from "../task.ts";
import { TORCH_DEGRADATION } from "./degradation-torch.ts";

/** A batch whose changes of size are about the average ones: 0.80 and 0.71. */
const SEED = 29;
/** Kernels of BasicSR are of this size, padded with zeros. */
const FRAME = 21;

interface Pipeline {
  readonly name: string;
  /** Side of the results. */
  readonly outSide: (side: number) => number;
  readonly ours: (images: Tensor, batch: number) => Tensor;
  /** Kernels for PyTorch by name, and the lines of Python that degrade `image`. */
  readonly kernels: (batch: number) => Readonly<Record<string, Feeds["inputs"][string]>>;
  readonly torch: (side: number, batch: number) => string;
}

const semanticDraws = (batch: number): SemanticDraw[] =>
  Array.from({ length: batch }, (_, i) => drawSemantic(SEED + i));
const secondOrderDraws = (batch: number): SecondOrderDraw[] =>
  drawSecondOrder(SEED, batch, { ...SECOND_ORDER_OPTIONS, gtSize: null, useHflip: false });

type Spec = Parameters<typeof blurKernel>[0] | null;

/** Kernels as BasicSR has them, (b, 21, 21). */
function framed(specs: readonly Spec[]): Feeds["inputs"][string] {
  const weights = specs.map((spec) => padKernel(blurKernel(spec ?? { type: "iso", size: 1, sigma: 0 }), FRAME).weights);
  return { shape: [specs.length, FRAME, FRAME], data: Float32Array.from(weights.flatMap((kernel) => [...kernel])) };
}

/** What Python's `noise` takes: a row of Gaussian or not, level and share of grey noise for each image. */
function noiseRows(draws: readonly NoiseDraw[]): string {
  const rows = draws.map((draw) =>
    draw.type === "gaussian" ? [1, draw.sigma, draw.gray ? 1 : 0] : [0, draw.scale, draw.gray ? 1 : 0],
  );
  return JSON.stringify(rows);
}

const semantic: Pipeline = {
  name: "semantic degradation",
  outSide: () => 224,
  ours: (images, batch) => degradeSemantic(images, semanticDraws(batch)),
  kernels: (batch) => {
    const draws = semanticDraws(batch);
    return { kernel: framed(draws.map(({ kernels }) => kernels[1])), sinc: framed(draws.map((draw) => draw.sinc)) };
  },
  torch: (_, batch) => {
    const draws = semanticDraws(batch);
    return `
    x = noise(filter2d(image, kernel), ${noiseRows(draws.map((draw) => draw.noise))})
    x = filter2d(jpeg(x, ${JSON.stringify(draws.map(({ quality }) => quality))}), sinc)
    return F.interpolate(x, size=(224, 224), mode="bicubic")`;
  },
};

const secondOrder: Pipeline = {
  name: "second-order degradation",
  outSide: (side) => side / 4,
  ours: (images, batch) => degradeSecondOrder(images, secondOrderDraws(batch)).lq,
  kernels: (batch) => {
    const draws = secondOrderDraws(batch);
    const { size, weights } = usmKernel(51);
    return {
      usm: { shape: [1, size, size], data: Float32Array.from(weights) },
      kernel1: framed(draws.map(({ stages }) => stages[0].blur)),
      kernel2: framed(draws.map(({ stages }) => stages[1].blur)),
      sinc: framed(draws.map((draw) => draw.sinc)),
    };
  },
  torch: (side, batch) => {
    const draws = secondOrderDraws(batch);
    const { stages, jpegFirst, mode } = draws[0]!;
    const [first, second] = [stages[0].resize, stages[1].resize];
    const [noise1, noise2] = ([0, 1] as const).map((i) => noiseRows(draws.map((draw) => draw.stages[i].noise)));
    const [quality1, quality2] = ([0, 1] as const).map((i) =>
      JSON.stringify(draws.map((draw) => draw.stages[i].quality)),
    );
    const between = Math.floor((side / 4) * second.factor);
    const compress = `x = jpeg(x.clamp(0, 1), ${quality2})`;
    const finish = `x = filter2d(F.interpolate(x, size=(${side / 4}, ${side / 4}), mode="${mode}"), sinc)`;
    return `
    blurred = filter2d(image, usm)
    detail = image - blurred
    soft = filter2d((detail.abs() * 255 > 10).float(), usm)
    x = soft * (image + 0.5 * detail).clamp(0, 1) + (1 - soft) * image
    x = F.interpolate(filter2d(x, kernel1), scale_factor=${first.factor}, mode="${first.mode}")
    x = filter2d(jpeg(noise(x, ${noise1}), ${quality1}), kernel2)
    x = noise(F.interpolate(x, size=(${between}, ${between}), mode="${second.mode}"), ${noise2})
    ${jpegFirst ? compress : finish}
    ${jpegFirst ? finish : compress}
    return (x * 255).round().clamp(0, 255) / 255`;
  },
};

/** Long waves around a grey of each channel: what neither noise nor compression nor a change of size moves is its mean. */
function drawImages(batch: number, side: number): Float32Array {
  return Float32Array.from({ length: batch * 3 * side * side }, (_, at) => {
    const [plane, i, j] = [Math.floor(at / side ** 2), Math.floor(at / side) % side, at % side];
    return 0.4 + 0.1 * (plane % 3) + 0.1 * Math.sin((2 * Math.PI * (2 * i + 3 * j)) / side + plane);
  });
}

function row({ name, outSide, ours, kernels, torch }: Pipeline, side: number, batch: number): Row {
  const image = (): Feeds["inputs"][string] => ({ shape: [batch, 3, side, side], data: drawImages(batch, side) });
  const means = (images: Float32Array): Float32Array => {
    const size = images.length / (3 * batch);
    return Float32Array.from({ length: 3 * batch }, (_, plane) => {
      const values = images.subarray(plane * size, (plane + 1) * size);
      return values.reduce((sum, value) => sum + value, 0) / size;
    });
  };
  return {
    name: `${name} ${side}^2 x${batch}`,
    shape: `[${batch}, 3, ${side}, ${side}] -> ${outSide(side)}^2`,
    // The means of all channels: 0.4, 0.5 and 0.6, up to the noise.
    reference: () => Float64Array.from(means(drawImages(batch, side))),
    tolerance: 0.03,
    tasks: {
      ours: [
        async (api) => {
          const feeds = { inputs: { image: image() }, output: [batch, 3, outSide(side), outSide(side)], read: means };
          return operationOfOurs(api, feeds, (x) => noGrad(() => ours(x.image!, batch)));
        },
      ],
      torch: [
        async (api) => {
          const code = `${TORCH_DEGRADATION}\n@torch.inference_mode()\ndef run():${torch(side, batch)}\n`;
          return torchTask(api, { image: image(), ...kernels(batch) }, code, means);
        },
      ],
    },
  };
}

/** Both pipelines, at the sizes of training images and of photographs, with the draws of one batch. Images in a second: 1000 · x / ms. */
export default [semantic, secondOrder].flatMap((pipeline) =>
  [224, 512].flatMap((side) => [1, 16].map((batch) => row(pipeline, side, batch))),
);
