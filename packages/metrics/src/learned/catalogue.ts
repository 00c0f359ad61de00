import type { Init, StateDict } from "@deplsr/nn";
import { type Device, type HostArray, noGrad, Rng, type Source, scope, type Tensor } from "@deplsr/tensor";
import { checkPair, type Image } from "../image.ts";
import type { ImageMetric, LearnedMetric, Metric, MetricInfo, SetMetric, WeightFile } from "../metric.ts";
import { CLIPIQA, type ImageTextModel } from "./clipiqa.ts";
import { CNNIQA, CNNIQA_KONIQ } from "./cnniqa.ts";
import { DISTS } from "./dists.ts";
import { fidNormalize, fidResize } from "./fid.ts";
import { type FeatureSet, frechetDistance } from "./frechet.ts";
import { InceptionV3 } from "./inception.ts";
import { LPIPS, type LPIPSNet } from "./lpips.ts";
import { MANIQA, MANIQA_KONIQ } from "./maniqa.ts";
import { MUSIQ, MUSIQ_KONIQ } from "./musiq.ts";
import type { MetricNetwork } from "./network.ts";
import { readWeights, WEIGHT_FILES } from "./weights.ts";

/** An image on a device, `(1, 3, h, w)` RGB: the bytes divided by `white`. */
export function imageTensor(device: Device, { width, height, data }: Image, white = 255): Tensor {
  const area = width * height;
  const values = new Float32Array(3 * area);
  for (let i = 0; i < area; i++) {
    for (let channel = 0; channel < 3; channel++) values[channel * area + i] = data[3 * i + channel]! / white;
  }
  return device.tensor(values, [1, 3, height, width]);
}

/** Runs without a graph, gives everything back, and waits for the numbers. */
async function numbers(compute: () => Tensor): Promise<HostArray> {
  using result = noGrad(() => scope(compute));
  return await result.data();
}

/** What a metric computes once its network is there. */
type Scores = Pick<ImageMetric, "score"> | Pick<SetMetric, "scoreSets">;

/** Reads the tensors of a metric's files that have wanted names. */
type ReadFiles = (wanted: (name: string) => boolean) => Promise<StateDict[]>;

function learnedMetric<Network extends { dispose(): void }>(
  info: MetricInfo & { readonly name: keyof typeof WEIGHT_FILES },
  make: (device: Device, read: ReadFiles) => Promise<Network>,
  scores: (network: Network, device: Device) => Scores,
): LearnedMetric {
  const weights: readonly WeightFile[] = WEIGHT_FILES[info.name];
  const open = async (device: Device, files: ReadonlyMap<string, Source>): Promise<Metric> => {
    const sources = weights.map(({ name }) => {
      const source = files.get(name);
      if (!source) throw new Error(`${info.name}: the file ${name} is missing`);
      return source;
    });
    const network = await make(device, (wanted) => Promise.all(sources.map((source) => readWeights(source, wanted))));
    return { ...info, ...scores(network, device), dispose: () => network.dispose() };
  };
  return { ...info, weights, open };
}

/** Makes a network and loads what the files have for it. */
function loaded<Network extends MetricNetwork>(make: (init: Init) => Network) {
  return async (device: Device, read: ReadFiles): Promise<Network> => {
    const network = make({ device, rng: new Rng(0) });
    try {
      const names = network.stateDict();
      network.load(...(await read((name) => names.has(name))));
      return network;
    } catch (error) {
      network.dispose();
      throw error;
    }
  };
}

/** Distances of images from their references, lower is better. */
function distance(
  name: keyof typeof WEIGHT_FILES,
  make: (init: Init) => MetricNetwork & { forward(image: Tensor, reference: Tensor): Tensor },
): LearnedMetric {
  return learnedMetric({ name, lowerBetter: true, needsReference: true }, loaded(make), (network, device) => ({
    score: async (image, reference) => {
      if (!reference) throw new RangeError(`${name}: the reference is missing`);
      checkPair(name, image, reference);
      return (await numbers(() => network.forward(imageTensor(device, image), imageTensor(device, reference))))[0]!;
    },
  }));
}

interface QualityNetwork {
  forward(image: Tensor): Tensor;
  dispose(): void;
}

/** Scores of images by themselves, higher is better. */
function quality<Network extends QualityNetwork>(
  name: keyof typeof WEIGHT_FILES,
  make: (device: Device, read: ReadFiles) => Promise<Network>,
): LearnedMetric {
  return learnedMetric({ name, lowerBetter: false, needsReference: false }, make, (network, device) => ({
    score: async (image) => (await numbers(() => network.forward(imageTensor(device, image))))[0]!,
  }));
}

const lpips = (name: "lpips" | "lpips-vgg" | "lpips-squeeze", net: LPIPSNet): LearnedMetric =>
  distance(name, (init) => new LPIPS({ net }, init));

/** The Fréchet inception distance of two sets of images of any sizes; of few images it is far too large. */
const fid: LearnedMetric = learnedMetric(
  { name: "fid", lowerBetter: true, needsReference: true },
  loaded((init) => new InceptionV3(init)),
  (network, device) => {
    const features = async (images: AsyncIterable<Image>): Promise<FeatureSet> => {
      const rows: HostArray[] = [];
      for await (const image of images) {
        rows.push(await numbers(() => network.forward(fidNormalize(fidResize(imageTensor(device, image, 1))))));
      }
      const dims = rows[0]?.length ?? 0;
      const data = new Float32Array(rows.length * dims);
      rows.forEach((row, index) => void data.set(row, index * dims));
      return { count: rows.length, dims, data };
    };
    return {
      scoreSets: async (images, references) =>
        frechetDistance(await features(images), await features(references)).distance,
    };
  },
);

/** The learned metrics whose networks are here. */
export const LEARNED_METRICS: readonly LearnedMetric[] = [
  lpips("lpips", "alex"),
  lpips("lpips-vgg", "vgg"),
  lpips("lpips-squeeze", "squeeze"),
  distance("dists", (init) => new DISTS(init)),
  fid,
  quality(
    "cnniqa",
    loaded((init) => new CNNIQA(CNNIQA_KONIQ, init)),
  ),
  quality(
    "musiq",
    loaded((init) => new MUSIQ(MUSIQ_KONIQ, init)),
  ),
  quality(
    "maniqa",
    loaded((init) => new MANIQA(MANIQA_KONIQ, init)),
  ),
];

/** A CLIP for CLIP-IQA, and the tokens of `CLIPIQA_PROMPTS`: `(10, context) i32`. */
export interface PromptedCLIP {
  readonly model: ImageTextModel & { dispose(): void };
  readonly ids: Tensor;
}

/**
 * CLIP-IQA with a CLIP of another package.
 *
 * @param open makes the model of the tensors of `RN50.pt`; both are given back with the metric
 */
export function clipiqaMetric(open: (device: Device, weights: StateDict) => PromptedCLIP): LearnedMetric {
  return quality("clipiqa", async (device, read) => {
    const [weights] = await read(() => true);
    const { model, ids } = open(device, weights!);
    const metric = new CLIPIQA(model, ids);
    return {
      forward: (image) => metric.forward(image),
      dispose: () => {
        for (const held of [metric, ids, model]) held.dispose();
      },
    };
  });
}
