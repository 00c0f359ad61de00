import { bytesSource, Device, type Source, type StoredTensor, writeSafetensors } from "@deplsr/tensor";
import { afterAll, describe, expect, it } from "vitest";
import {
  type FeatureSet,
  frechetDistance,
  type Image,
  type ImageMetric,
  LEARNED_METRICS,
  type LearnedMetric,
  type SetMetric,
} from "../../src/index.ts";
import { golden } from "./golden.ts";

const device = await Device.request();
afterAll(() => device.destroy());

function metricOf(name: string): LearnedMetric {
  return LEARNED_METRICS.find((metric) => metric.name === name)!;
}

function source(tensors: Iterable<readonly [string, StoredTensor]>): Source {
  return bytesSource(writeSafetensors(tensors));
}

async function* images(...list: Image[]): AsyncGenerator<Image> {
  yield* list;
}

describe("LEARNED_METRICS", () => {
  it("say what they need", () => {
    expect(LEARNED_METRICS.map(({ name, weights }) => [name, ...weights.map((file) => file.name)])).toEqual([
      ["lpips", "alexnet-owt-7be5be79.pth", "LPIPS_v0.1_alex-df73285e.pth"],
      ["lpips-vgg", "vgg16-397923af.pth", "LPIPS_v0.1_vgg-a78928a0.pth"],
      ["lpips-squeeze", "squeezenet1_1-b8a52dc0.pth", "LPIPS_v0.1_squeeze-4a5350f2.pth"],
      ["dists", "vgg16-397923af.pth", "DISTS_weights-f5e65c96.pth"],
      ["fid", "pt_inception-2015-12-05-6726825d.pth"],
      ["cnniqa", "CNNIQA_koniq10k-e6f14c91.pth"],
      ["musiq", "musiq_koniq_ckpt-e95806b9.pth"],
      ["maniqa", "ckpt_koniq10k.pt"],
    ]);
    for (const { weights } of LEARNED_METRICS) for (const { name, from } of weights) expect(from).toContain(`/${name}`);
  });

  it("compare images with the tensors of two files, and give everything back", async () => {
    const file = golden("lpips_squeeze");
    const weights = file.weights();
    const trunk = [...weights].filter(([name]) => name.startsWith("features."));
    const heads = [...weights].filter(([name]) => name.startsWith("lin"));
    const classifier = [["classifier.1.weight", weights.get("features.0.weight")!]] as const;
    const files = new Map([
      ["squeezenet1_1-b8a52dc0.pth", source([...trunk, ...classifier])],
      ["LPIPS_v0.1_squeeze-4a5350f2.pth", source(heads)],
    ]);
    const { liveBuffers } = device.memory();
    const metric = (await metricOf("lpips-squeeze").open(device, files)) as ImageMetric;
    const [image, reference] = [file.image("case1.dist.rgb"), file.image("case1.ref.rgb")];
    expect(await metric.score(image, reference)).toBeCloseTo(file.values("case1.score")[0]!, 5);
    await expect(async () => metric.score(image, file.image("case0.ref.rgb"))).rejects.toThrow(
      "lpips-squeeze: the image is 61 x 47, but its reference is 96 x 64",
    );
    metric.dispose?.();
    expect(device.memory().liveBuffers).toBe(liveBuffers);
  });

  it("read a network under `params`", async () => {
    const file = golden("cnniqa");
    const tensors = [...file.weights()].map(([name, tensor]) => [`params/${name}`, tensor] as const);
    const files = new Map([["CNNIQA_koniq10k-e6f14c91.pth", source(tensors)]]);
    const metric = (await metricOf("cnniqa").open(device, files)) as ImageMetric;
    expect(await metric.score(file.image("case2.rgb"))).toBeCloseTo(file.values("case2.score")[0]!, 4);
    metric.dispose?.();
  });

  it("compare sets of images", async () => {
    const file = golden("fid_pipeline");
    const files = new Map([["pt_inception-2015-12-05-6726825d.pth", source(file.weights())]]);
    const metric = (await metricOf("fid").open(device, files)) as SetMetric;
    const set = (index: number, count: number): AsyncGenerator<Image> =>
      images(...Array.from({ length: count }, (_, i) => file.image(`set${index}.image${i}.rgb`)));
    const two = (index: number): FeatureSet => ({ count: 2, dims: 2048, data: file.values(`set${index}.features`) });
    expect(await metric.scoreSets(set(0, 2), set(1, 2))).toBeCloseTo(frechetDistance(two(0), two(1)).distance, 3);
    await expect(metric.scoreSets(images(), images())).rejects.toThrow("a set of 0 images has no covariance");
    metric.dispose?.();
  });

  it("name every tensor that a file lacks, and keep nothing then", async () => {
    const file = golden("cnniqa");
    const some = [...file.weights()].filter(([name]) => !name.startsWith("fc2."));
    const { liveBuffers } = device.memory();
    await expect(
      metricOf("cnniqa").open(device, new Map([["CNNIQA_koniq10k-e6f14c91.pth", source(some)]])),
    ).rejects.toThrow("2 missing: fc2.weight [800, 800], fc2.bias [800]");
    await expect(metricOf("dists").open(device, new Map())).rejects.toThrow(
      "dists: the file vgg16-397923af.pth is missing",
    );
    expect(device.memory().liveBuffers).toBe(liveBuffers);
  });
});
