import { detach, gelu, indexSelect, noGrad, quickGelu, Rng, scope, slice, type Tensor } from "@deplsr/tensor";
import { expectClose, testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import {
  CLIP,
  clampLogitScale,
  clipConfig,
  clipLoss,
  clipShapes,
  countCLIPParameters,
  encodeDistinct,
  LOGIT_SCALE_LIMIT,
  SIGLIP_START,
  siglipLoss,
  VIT_B_32,
} from "../src/index.ts";
import { digest, fill, TINY, tokens, waves } from "./published-numbers.ts";

const device = await testDevice();
const init = { device, rng: new Rng(1) };
const image = waves(device, 3);
const rows = Int32Array.from([0, 1, 2].flatMap(tokens));
const ids = device.tensor(rows, [3, 16]);

function filled(quickGelu = false): CLIP {
  const model = new CLIP({ ...TINY, quickGelu }, init);
  fill(model);
  return model;
}

async function expectPublished(x: Tensor, sum: number, magnitude: number, first: readonly number[]): Promise<void> {
  const found = await digest(x);
  expect(Math.abs(found.sum - sum)).toBeLessThan(1e-4 * magnitude);
  expect(Math.abs(found.magnitude - magnitude)).toBeLessThan(1e-4 * magnitude);
  for (const [i, value] of first.entries()) expect(Math.abs(found.first[i]! - value)).toBeLessThan(2e-4);
}

describe("CLIP", () => {
  it("gives the published features and losses", async () => {
    const model = filled();
    const output = noGrad(() => model.forward(image, ids));
    await expectPublished(model.encodeImage(image), 33.574937, 53.133405, [0.9069058, 0.1455093, 0.4317645, 1.154353]);
    await expectPublished(model.encodeText(ids), -0.311162, 53.857472, [0.5815247, 1.2220477, -0.1722417, -1.3705477]);
    const pair = { image: output.imageFeatures, text: output.textFeatures };
    expect(await clipLoss({ ...pair, logitScale: output.logitScale }).item()).toBeCloseTo(1.41241026, 5);
    const siglip = siglipLoss({ ...pair, logitScale: device.full([], 10), logitBias: device.full([], -10) });
    expect(await siglip.item()).toBeCloseTo(13.3665047, 4);
    model.dispose();
  });

  it("has the published activations: the exact GELU and the quick one", async () => {
    const one = device.ones([1]);
    expect(await gelu(one).item()).toBeCloseTo(0.84134471, 6);
    expect(await quickGelu(one).item()).toBeCloseTo(0.84579577, 6);
  });

  it("gives the published numbers with the quick activation", async () => {
    const model = filled(true);
    const output = noGrad(() => model.forward(image, ids));
    expect((await digest(model.encodeImage(image))).sum).toBeCloseTo(33.406675, 2);
    expect((await digest(model.encodeText(ids))).sum).toBeCloseTo(-0.171697, 2);
    const loss = clipLoss({ image: output.imageFeatures, text: output.textFeatures, logitScale: output.logitScale });
    expect(await loss.item()).toBeCloseTo(1.40637352, 5);
    model.dispose();
  });

  it("has the tensors that its configuration says, in the reference's order", () => {
    const scaled = clipConfig({ ...TINY, ...SIGLIP_START, vision: { ...TINY.vision, layerScale: 0.1 } });
    for (const config of [TINY, scaled]) {
      const model = new CLIP(config, init);
      const shapes = Array.from(model.stateDict(), ([name, { shape }]) => [name, shape]);
      expect(shapes).toEqual([...clipShapes(config)]);
      expect(model.parameterCount()).toBe(countCLIPParameters(config).total);
      model.dispose();
    }
    const model = new CLIP(clipConfig({ ...TINY, vision: { ...TINY.vision, layerScale: 0.1 } }), init);
    const names = [...model.stateDict().keys()];
    expect(names.slice(0, 9)).toEqual([
      "positional_embedding",
      "text_projection",
      "logit_scale",
      "visual.class_embedding",
      "visual.positional_embedding",
      "visual.proj",
      "visual.conv1.weight",
      "visual.ln_pre.weight",
      "visual.ln_pre.bias",
    ]);
    expect(names.filter((name) => name.startsWith("visual.transformer.resblocks.2."))).toEqual(
      [
        "ln_1.weight",
        "ln_1.bias",
        "attn.in_proj_weight",
        "attn.in_proj_bias",
        "attn.out_proj.weight",
        "attn.out_proj.bias",
        "ls_1.gamma",
        "ln_2.weight",
        "ln_2.bias",
        "mlp.c_fc.weight",
        "mlp.c_fc.bias",
        "mlp.c_proj.weight",
        "mlp.c_proj.bias",
        "ls_2.gamma",
      ].map((name) => `visual.transformer.resblocks.2.${name}`),
    );
    expect(names.slice(-5)).toEqual([
      "transformer.resblocks.1.mlp.c_proj.weight",
      "transformer.resblocks.1.mlp.c_proj.bias",
      "token_embedding.weight",
      "ln_final.weight",
      "ln_final.bias",
    ]);
    model.dispose();
  });

  it("has the published number of parameters as ViT-B-32", () => {
    const model = new CLIP(VIT_B_32, init);
    expect(model.parameterCount()).toBe(151_277_313);
    expect(Array.from(model.stateDict(), ([name, { shape }]) => [name, shape])).toEqual([...clipShapes(VIT_B_32)]);
    model.dispose();
  });

  it("starts with the published spreads", async () => {
    const model = new CLIP(TINY, init);
    const std = async (x: Tensor): Promise<number> => (await digest(x)).norm / Math.sqrt(x.size);
    expect(await std(model.text.tokenEmbedding.weight)).toBeCloseTo(0.02, 2);
    expect(await std(model.text.positionalEmbedding)).toBeCloseTo(0.01, 2);
    const [block] = model.text.transformer.resblocks;
    expect(Math.abs((await std(block!.attn.inProjWeight)) / 24 ** -0.5 - 1)).toBeLessThan(0.1);
    expect(Math.abs((await std(block!.mlp.cProj.weight)) / (24 ** -0.5 * 4 ** -0.5) - 1)).toBeLessThan(0.1);
    expect(Math.abs((await std(block!.mlp.cFc.weight)) / 48 ** -0.5 - 1)).toBeLessThan(0.1);
    expect(await model.logitScale.item()).toBeCloseTo(2.65926, 5);
    model.dispose();
  });

  it("returns a map of attention for each block whose rows sum to 1", async () => {
    const model = filled();
    const maps = scope(() => noGrad(() => model.visual.attentionMaps(image)));
    expect(maps.map((map) => map.shape)).toEqual(Array.from({ length: 3 }, () => [3, 17, 17]));
    for (const map of maps) expectClose(await map.sum({ dim: 2 }).data(), new Float32Array(3 * 17).fill(1));
    const causal = noGrad(() => model.text.attentionMaps(ids));
    expect(causal.map((map) => map.shape)).toEqual(Array.from({ length: 2 }, () => [3, 16, 16]));
    const first = await causal[1]!.data();
    for (let i = 0; i < 16; i++) for (let j = i + 1; j < 16; j++) expect(first[i * 16 + j]).toBe(0);
    model.dispose();
  });

  it("recomputes blocks on demand with the same result", async () => {
    const model = filled();
    const plain = detach(model.visual.forward(image));
    expectClose(await model.visual.forward(image, { checkpoint: true }).data(), await plain.data());
    model.dispose();
  });

  it("refuses images and texts of other sizes", () => {
    const model = new CLIP(TINY, init);
    expect(() => model.encodeImage(device.zeros([1, 3, 32, 40]))).toThrow(
      "VisionTransformer: image [1, 3, 32, 40] must be (b, 3, 32, 32)",
    );
    expect(() => model.encodeText(device.zeros([2, 17], { dtype: "i32" }))).toThrow(
      "TextTransformer: ids [2, 17] must be (b, n) with n up to 16",
    );
    model.dispose();
  });
});

describe("encodeDistinct", () => {
  it("equals encoding every row", async () => {
    const model = filled();
    const repeated = Int32Array.from([...tokens(1), ...tokens(0), ...tokens(1), ...tokens(1)]);
    const all = model.encodeText(device.tensor(repeated, [4, 16]), { normalize: true });
    const some = encodeDistinct(model, repeated, { normalize: true });
    expect(some.shape).toEqual([4, 16]);
    expectClose(await some.data(), await all.data());
    model.dispose();
  });
});

describe("clampLogitScale", () => {
  it("brings the scale back into its range", async () => {
    const model = new CLIP(clipConfig({ ...TINY, logitScaleStart: 9 }), init);
    clampLogitScale(model.logitScale);
    expect(await model.logitScale.item()).toBeCloseTo(LOGIT_SCALE_LIMIT, 6);
    model.dispose();
  });
});

it("needs no vectors of tokens that its texts do not have", async () => {
  const full = filled();
  const used = [...new Set(rows)].sort((a, b) => a - b);
  const config = clipConfig({ ...TINY, text: { ...TINY.text, tokens: used } });
  const small = new CLIP(config, init);
  const entries = new Map(full.stateDict());
  const table = entries.get("token_embedding.weight")!;
  const picked = indexSelect(table, 0, device.tensor(Int32Array.from(used), [used.length], { dtype: "i32" }));
  entries.set("token_embedding.weight", picked);
  small.loadStateDict(entries);
  const shapes = new Map([...small.stateDict()].map(([name, { shape }]) => [name, shape]));
  expect(shapes).toEqual(new Map(clipShapes(config)));
  expect(await small.encodeText(ids).data()).toEqual(await full.encodeText(ids).data());
  const short = clipConfig({ ...TINY, text: { ...TINY.text, tokens: used.filter((id) => id !== 0) } });
  const bare = new CLIP(short, init);
  entries.set("token_embedding.weight", slice(picked, [[used[0] === 0 ? 1 : 0, used.length]]));
  bare.loadStateDict(entries);
  expect(await bare.encodeText(ids).data()).toEqual(await full.encodeText(ids).data());
  bare.dispose();
  const other = Int32Array.from(rows, (id, i) =>
    i === 1 ? [...Array(TINY.text.vocabSize).keys()].find((k) => !used.includes(k))! : id,
  );
  await expect(small.encodeText(device.tensor(other, [3, 16], { dtype: "i32" })).data()).rejects.toThrow("-1");
  full.dispose();
  small.dispose();
});

it.each([
  [[], "there are none"],
  [[3, 3], "number 1 is 3"],
  [[-1], "number 0 is -1"],
  [[0, 1.5], "number 1 is 1.5"],
  [[0, 49408], "number 1 is 49408"],
])("refuses the tokens %j", (list, message) => {
  expect(() => clipConfig({ text: { tokens: list } })).toThrow(message);
});
