import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { encodeCheckpoint } from "@deplsr/nn";
import { type Device, noGrad, Rng, type Tensor } from "@deplsr/tensor";
import { expectClose, expectNoLeak, testDevice } from "@deplsr/tensor/testing";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import {
  CLIP,
  classify,
  parseOpenClipConfig,
  preprocessImages,
  SIGLIP_START,
  Tokenizer,
  zeroShotClassifier,
} from "../src/index.ts";
import { waves } from "./test-image.ts";

const device = await testDevice();
const tokenizer = new Tokenizer();
const CONFIGURATION = {
  embed_dim: 16,
  vision_cfg: { image_size: 32, patch_size: 8, width: 32, layers: 2, head_width: 16 },
  text_cfg: { width: 24, heads: 2, layers: 2 },
};
const config = parseOpenClipConfig(CONFIGURATION);
const NAMES = ["cat", "dog", "boat at sea"];
const TEMPLATES = ["a photo of a {}.", (name: string) => `the ${name}, drawn`, "{}"];

function makeModel(on: Device = device, start: object = {}): CLIP {
  return new CLIP({ ...config, ...start }, { device: on, rng: new Rng(5) });
}

/** Features from their definition, on the host. */
async function classFeatures(model: CLIP): Promise<number[][]> {
  const unit = (v: readonly number[]): number[] => v.map((x) => x / Math.hypot(...v));
  const rows = NAMES.map(async (name) => {
    const texts = [`a photo of a ${name}.`, `the ${name}, drawn`, name];
    const values = await noGrad(() => model.encodeText(tokenizer.tensor(device, texts))).data();
    const features = texts.map((_, i) => unit(Array.from(values.slice(16 * i, 16 * i + 16))));
    return unit(features[0]!.map((_, k) => features.reduce((sum, feature) => sum + feature[k]!, 0) / 3));
  });
  return Promise.all(rows);
}

describe("zeroShotClassifier", () => {
  it("is the normalised mean of the templates' normalised features", async () => {
    const model = makeModel();
    const classifier = zeroShotClassifier(model, tokenizer, NAMES, TEMPLATES);
    expect(classifier.shape).toEqual([3, 16]);
    expectClose(await classifier.data(), (await classFeatures(model)).flat());
    model.dispose();
  });

  it("does not depend on how many classes there are", async () => {
    const model = makeModel();
    const many = Array.from({ length: 150 }, (_, i) => `thing ${i}`);
    const all = zeroShotClassifier(model, tokenizer, many);
    const last = zeroShotClassifier(model, tokenizer, many.slice(140), ["a photo of a {}."]);
    expectClose((await all.data()).slice(140 * 16), await last.data());
    model.dispose();
  });

  it("keeps nothing but its result", async () => {
    const model = makeModel();
    await expectNoLeak(() => zeroShotClassifier(model, tokenizer, NAMES).dispose());
    model.dispose();
  });

  it("refuses nothing to tell apart, and templates without a place for the name", () => {
    const model = makeModel();
    expect(() => zeroShotClassifier(model, tokenizer, [])).toThrow(
      "zeroShotClassifier: 0 classes and 1 templates; both need at least one",
    );
    expect(() => zeroShotClassifier(model, tokenizer, NAMES, ["a photo"])).toThrow(
      'zeroShotClassifier: the template "a photo" has no {} for the name of the class',
    );
    model.dispose();
  });
});

describe("classify", () => {
  const images = preprocessImages(device, [waves(40, 50), waves(64, 32)], { size: 32 });

  /** Logits (2, 3) from their definition. */
  async function expectedLogits(model: CLIP, classifier: Tensor): Promise<number[][]> {
    const image = await noGrad(() => model.encodeImage(images, { normalize: true })).data();
    const classes = await classifier.data();
    const bias = model.logitBias ? await model.logitBias.item() : 0;
    const scale = Math.exp(await model.logitScale.item());
    const dot = (i: number, j: number): number =>
      Array.from({ length: 16 }, (_, k) => image[16 * i + k]! * classes[16 * j + k]!).reduce((a, b) => a + b, 0);
    return [0, 1].map((i) => [0, 1, 2].map((j) => scale * dot(i, j) + bias));
  }

  it("gives the softmax of the logits", async () => {
    const model = makeModel();
    const classifier = zeroShotClassifier(model, tokenizer, NAMES);
    const expected = (await expectedLogits(model, classifier)).map((row) => {
      const total = row.reduce((sum, z) => sum + Math.exp(z), 0);
      return row.map((z) => Math.exp(z) / total);
    });
    expectClose(await classify(model, images, classifier).data(), expected.flat());
    model.dispose();
  });

  it("lets each class stand for itself where there is a bias", async () => {
    const model = makeModel(device, SIGLIP_START);
    const classifier = zeroShotClassifier(model, tokenizer, NAMES);
    const expected = (await expectedLogits(model, classifier)).flat().map((z) => 1 / (1 + Math.exp(-z)));
    expectClose(await classify(model, images, classifier).data(), expected);
    model.dispose();
  });
});

describe("the example", () => {
  it("classifies a picture with weights and configuration from files", async () => {
    const folder = await mkdtemp(join(tmpdir(), "deplsr-zero-shot-"));
    try {
      const model = makeModel();
      const files = { configuration: "open_clip_config.json", weights: "weights.safetensors", picture: "picture.png" };
      const at = (file: keyof typeof files): string => join(folder, files[file]);
      await writeFile(at("configuration"), JSON.stringify({ model_cfg: CONFIGURATION, preprocess_cfg: {} }));
      await writeFile(at("weights"), await encodeCheckpoint(model));
      const image = waves(40, 50);
      await sharp(image.data, { raw: image }).png().toFile(at("picture"));
      const example = fileURLToPath(new URL("../examples/zero-shot.ts", import.meta.url));
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ["--import", "tsx", "--conditions", "@deplsr/source", example]
          .concat(at("configuration"), at("weights"), at("picture"))
          .concat(NAMES),
        { cwd: fileURLToPath(new URL("../../..", import.meta.url)) },
      );
      const classifier = zeroShotClassifier(model, tokenizer, NAMES, ["a photo of a {}.", "a picture of a {}."]);
      const images = preprocessImages(device, [image], { size: 32 });
      const probabilities = await classify(model, images, classifier).data();
      expect(stdout.trimEnd().split("\n")).toEqual(
        NAMES.map((name, i) => `${name}: ${(100 * probabilities[i]!).toFixed(1)} %`),
      );
      model.dispose();
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
