import { readFileSync } from "node:fs";
import { openTensorFile, StateDictError, selectWeights } from "@deplsr/nn";
import { bytesSource, Device, noGrad, Rng, readSafetensors, readTensor, type StoredTensor } from "@deplsr/tensor";
import { expectClose } from "@deplsr/tensor/testing";
import { afterAll, describe, expect, it } from "vitest";
import {
  clipConfig,
  clipShapes,
  detectResNetCLIP,
  loadResNetCLIP,
  normalizeImage,
  ResNetCLIP,
  type ResNetCLIPConfig,
} from "../src/index.ts";

const device = await Device.request();
afterAll(() => device.destroy());

const folder = new URL("../../../../shared/golden/metrics_learned/", import.meta.url);
const { tensors: expected } = readSafetensors(readFileSync(new URL("clip_torchscript.expected.safetensors", folder)));

/** The tensors of a small CLIP as OpenAI publishes them: a TorchScript archive. */
async function archive(): Promise<Map<string, StoredTensor>> {
  const bytes = readFileSync(new URL("clip_torchscript.pt", folder));
  const { tensors } = selectWeights(await openTensorFile(bytesSource(bytes)));
  return new Map(await Promise.all([...tensors].map(async ([name, file]) => [name, await readTensor(file)] as const)));
}

const CONFIG: ResNetCLIPConfig = {
  embedDim: 16,
  quickGelu: true,
  vision: { imageSize: 64, width: 8, layers: [1, 1, 2, 1] },
  text: { contextLength: 12, vocabSize: 90, width: 64, heads: 1, layers: 1, mlpRatio: 4, layerScale: null },
};

describe("ResNetCLIP", () => {
  it("computes the reference's features from a published archive", async () => {
    const state = await archive();
    const shapes = new Map([...state].map(([name, { shape }]) => [name, shape]));
    expect(detectResNetCLIP(shapes)).toEqual(CONFIG);
    const model = new ResNetCLIP(CONFIG, { device, rng: new Rng(1) });
    expect(loadResNetCLIP(model, state).missing).toEqual([]);
    const { shape, toInt32 } = expected.get("check.rgb")!;
    const [height, width] = shape as [number, number];
    const pixels = normalizeImage({ width, height, channels: 3, data: Uint8Array.from(toInt32()) });
    const image = device.tensor(pixels, [1, 3, height, width]);
    const ids = device.tensor(expected.get("check.tokens")!.toInt32(), [1, 12]);
    const [imageFeatures, textFeatures] = noGrad(() => [
      model.encodeImage(image, { positions: false }),
      model.encodeText(ids),
    ]);
    expectClose(await imageFeatures!.data(), expected.get("check.image_features")!.toFloat32(), { rel: 1e-4, abs: 0 });
    expectClose(await textFeatures!.data(), expected.get("check.text_features")!.toFloat32(), { rel: 1e-4, abs: 0 });
    const unit = await noGrad(() => model.encodeImage(image, { normalize: true })).data();
    expect(Math.hypot(...unit)).toBeCloseTo(1, 5);
    expect(() => model.encodeImage(device.zeros([1, 3, 30, 64]))).toThrow(
      "ModifiedResNet: image [1, 3, 30, 64] must be (b, 3, h, w) with sides of at least 31",
    );
    model.dispose();
  });

  it("loads without the counters of batch normalisations, and names everything else that is missing", async () => {
    const state = await archive();
    for (const name of state.keys()) if (name.endsWith("num_batches_tracked")) state.delete(name);
    const model = new ResNetCLIP(CONFIG, { device, rng: new Rng(1) });
    loadResNetCLIP(model, state);
    state.delete("visual.conv1.weight");
    state.set("visual.more", state.get("ln_final.bias")!);
    expect(() => loadResNetCLIP(model, state)).toThrow(StateDictError);
    expect(() => loadResNetCLIP(model, state)).toThrow(
      "1 missing: visual.conv1.weight [4, 3, 3, 3]; 1 unexpected: visual.more [64]",
    );
    model.dispose();
  });
});

describe("detectResNetCLIP", () => {
  it("does not take other models for its own", () => {
    expect(detectResNetCLIP(clipShapes(clipConfig({})))).toBeNull();
  });
});
