import { LOGIT_SCALE_START } from "@deplsr/clip";
import { Adam, cosineSchedule, type Module } from "@deplsr/nn";
import { assign, backward, detach, noGrad, Rng, scope, type Tensor } from "@deplsr/tensor";
import { testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import {
  countSrCLIPParameters,
  detachedLoss,
  loadSrCLIP,
  parameterGroups,
  runAdaptor,
  SrCLIP,
  SrCLIPV2,
  srclipLoss,
  srclipPreset,
  withVisualAlias,
} from "../src/index.ts";
import { digest, fill, TINY, textIds, waves } from "./published-numbers.ts";

const device = await testDevice();
const init = { device, rng: new Rng(1) };

const image = waves(device, [3, 3, 32, 32]);

/** Row r of item b is text (b + r) % 3. */
const ids = Int32Array.from([0, 1, 2].flatMap((b) => [0, 1, 2, 3, 4, 5, 6].flatMap((r) => textIds((b + r) % 3))));

function filled(): SrCLIPV2 {
  const model = new SrCLIPV2(TINY, init);
  fillWithScale(model);
  return model;
}

function fillWithScale(model: Module): void {
  fill(model);
  scope(() => {
    for (const [name, tensor] of model.parameters()) {
      if (name.endsWith("logit_scale")) assign(tensor, device.full([], LOGIT_SCALE_START));
    }
  });
}

async function expectFirst(x: Tensor, sum: number, first: readonly number[]): Promise<void> {
  const found = await digest(x);
  expect(Math.abs(found.sum - sum)).toBeLessThan(1e-4 * found.magnitude);
  for (const [i, value] of first.entries()) expect(Math.abs(found.first[i]! - value)).toBeLessThan(2e-4);
}

describe("SrCLIPV2", () => {
  it("gives the published taps and features", async () => {
    const model = filled();
    const { taps, degradation } = noGrad(() => runAdaptor(model.visualControl, image));
    for (const [i, sum] of [63.509297, 397.391818, -255.88916].entries()) {
      const found = await digest(taps[i]!);
      expect(Math.abs(found.sum - sum)).toBeLessThan(1e-4 * found.magnitude);
    }
    const features = noGrad(() => model.encodeImage(image));
    await expectFirst(features.content, 0.29524, [0.7433254, 1.5045826, 1.3507978, -1.7136722]);
    await expectFirst(features.degradation!, 1.851518, [-0.2279767, -0.0785927, -1.45204, -1.2947071]);
    await expectFirst(features.fine!, -63.063654, [-0.5789871, -3.2234218, 1.3846703, -0.2536007]);
    expect(await features.degradation!.data()).toEqual(await degradation.data());
    expect(features.fine!.shape).toEqual([3, 5, 16]);
    model.dispose();
  });

  it("gives the published losses, and gradients for what is trained only", async () => {
    const model = filled();
    model.lockCLIP();
    const loss = srclipLoss(model.forward({ image, ids }), { kind: "clip" });
    const seen = detachedLoss(loss);
    const gradients = backward(loss.total);
    expect(await seen.contrastive.item()).toBeCloseTo(2.228877, 4);
    expect(await seen.degradation.item()).toBeCloseTo(1.456709, 4);
    expect(await seen.fine!.item()).toBeCloseTo(1.585048, 4);
    expect(await seen.total.item()).toBeCloseTo(1.6753118, 4);
    const parameters = model.parameters();
    const norms: readonly [string, number][] = [
      ["logit_scale", 0.9148942],
      ["visual_control.conv1.weight", 3.81842],
      ["visual_control.ln_post.weight", 0.1853632],
      ["visual_control.transformer.zero_modules.0.weight", 0.3169254],
      ["visual_control.transformer.zero_modules.2.bias", 0.06302974],
      ["visual_control.transformer.transformer.resblocks.0.attn.in_proj_weight", 1.21189],
      ["out_linear.weight", 0.5395181],
    ];
    for (const [name, norm] of norms) {
      const found = await digest(gradients.get(parameters.get(name)!)!);
      expect(Math.abs(found.norm / norm - 1), name).toBeLessThan(1e-3);
    }
    const head = await digest(gradients.get(parameters.get("out_linear.weight")!)!);
    expect(Math.abs(head.sum - 0.04893397)).toBeLessThan(1e-4 * head.magnitude);
    for (const [name, tensor] of parameters) expect(gradients.has(tensor), name).toBe(!name.startsWith("clip."));
    model.dispose();
  });

  it("gives the published SigLIP losses and gradients", async () => {
    const model = filled();
    model.lockCLIP();
    const bias = { logitBias: device.full([], -10) };
    const fixed = noGrad(() => ({ ...model.forward({ image, ids }), ...bias, logitScale: device.full([], 10) }));
    const loss = srclipLoss(fixed, { kind: "siglip" });
    expect(await loss.contrastive.item()).toBeCloseTo(8.860516, 3);
    expect(await loss.degradation.item()).toBeCloseTo(9.636817, 3);
    expect(await loss.fine!.item()).toBeCloseTo(11.29405, 3);
    expect(await loss.total.item()).toBeCloseTo(10.3101731, 3);
    const trained = srclipLoss({ ...model.forward({ image, ids }), ...bias }, { kind: "siglip" });
    const gradients = backward(trained.total);
    expect(await trained.total.item()).toBeCloseTo(10.4440918, 3);
    const norms: readonly [string, number][] = [
      ["logit_scale", 0.4498633],
      ["visual_control.conv1.weight", 27.37014],
      ["visual_control.transformer.zero_modules.0.weight", 1.177782],
      ["out_linear.weight", 3.07189],
    ];
    for (const [name, norm] of norms) {
      const found = await digest(gradients.get(model.parameters().get(name)!)!);
      expect(Math.abs(found.norm / norm - 1), name).toBeLessThan(1e-3);
    }
    model.dispose();
  });

  it("controls nothing after a clean start, and does after the reference's", async () => {
    const model = new SrCLIPV2(TINY, init);
    fillWithScale(model.clip);
    model.startController();
    const plain = await model.encodeImage(image, { control: false }).content.data();
    const clean = model.encodeImage(image);
    expect(await clean.content.data()).toEqual(plain);
    expect(await clean.degradation!.data()).toEqual(plain);
    const fresh = new SrCLIPV2(TINY, init);
    fillWithScale(fresh.clip);
    scope(() => {
      // What the construction leaves: the tower's own last normalisation, taps of zero.
      assign(fresh.visualControl.lnPost.weight, device.ones([32]));
      assign(fresh.visualControl.lnPost.bias, device.zeros([32]));
    });
    fresh.startController("reference");
    await expectFirst(fresh.encodeImage(image).content, 32.777919, [0.8797565, 0.174674, 0.3779103, 1.1444218]);
    model.dispose();
    fresh.dispose();
  });

  it("returns only what it was given", () => {
    const model = filled();
    expect(model.forward({ image }).text).toBeNull();
    expect(model.forward({ ids }).image).toBeNull();
    expect(() => srclipLoss(model.forward({ image }), { kind: "clip" })).toThrow(
      "srclipLoss: needs features of images",
    );
    expect(() => model.forward({ ids: ids.subarray(1) })).toThrow(
      "SRCLIP: 335 token ids are not 7 texts of 16 for each image",
    );
    model.dispose();
  });

  it("starts scale and bias as the loss wants them", async () => {
    const siglip = new SrCLIPV2({ ...TINY, loss: "siglip" }, init);
    assign(siglip.clip.logitScale, device.full([], 4.6));
    siglip.startController();
    expect(await siglip.logitScale.item()).toBeCloseTo(Math.log(10), 6);
    expect(await siglip.logitBias!.item()).toBe(-10);
    const clip = new SrCLIPV2(TINY, init);
    assign(clip.clip.logitScale, device.full([], 4.6));
    clip.startController();
    expect(await clip.logitScale.item()).toBeCloseTo(4.6, 6);
    expect(clip.logitBias).toBeNull();
    siglip.dispose();
    clip.dispose();
  });
});

describe("SrCLIP", () => {
  it("compares content and degradation, with weights of 1", async () => {
    const model = new SrCLIP(TINY, init);
    const two = Int32Array.from([0, 1, 2].flatMap((b) => [...textIds(b), ...textIds((b + 1) % 3)]));
    const loss = srclipLoss(model.forward({ image, ids: two }), { kind: "clip" });
    expect(loss.fine).toBeNull();
    expect(await loss.total.item()).toBeCloseTo((await loss.contrastive.item()) + (await loss.degradation.item()), 5);
    expect([...model.parameters().keys()].some((name) => name.startsWith("out_linear"))).toBe(false);
    model.dispose();
  });
});

describe("countSrCLIPParameters", () => {
  it.each([
    ["ViT-B-32", 94_936_320, 7_087_104, 246_213_634, 247_526_914, 96_249_601],
    ["srclipv2_ViT-B-16", 93_279_744, 7_087_104, 242_900_482, 244_213_762, 94_593_025],
    ["ViT-L-14", 329_156_608, 25_190_400, 756_773_122, 759_726_082, 332_109_569],
    ["srclipv2_ViT-H-14", 684_546_560, 52_469_760, 1_670_656_002, 1_675_904_002, 689_794_561],
  ])("gives the published numbers of %s", (name, visualControl, taps, v1, v2, v2Trainable) => {
    const counts = countSrCLIPParameters(srclipPreset(name, { loss: "clip" }));
    expect(counts).toEqual({ visualControl, taps, v1, v2, v2Trainable });
  });

  it("gives the published size of the head", () => {
    const { v1, v2 } = countSrCLIPParameters(srclipPreset("ViT-B-32"));
    expect(v2 - v1).toBe(1_313_280);
  });

  it("agrees with the model", () => {
    const model = new SrCLIPV2({ ...TINY, loss: "siglip" }, init);
    const counts = countSrCLIPParameters({ ...TINY, loss: "siglip" });
    expect(model.parameterCount()).toBe(counts.v2);
    model.lockCLIP();
    const trained = [...model.parameters().values()].filter((tensor) => tensor.requiresGrad);
    expect(trained.reduce((sum, tensor) => sum + tensor.size, 0)).toBe(counts.v2Trainable);
    model.dispose();
    expect(() => srclipPreset("srclipv2_ViT-X")).toThrow(
      "SRCLIP: there is no model srclipv2_ViT-X; known are ViT-B-32,",
    );
  });
});

describe("parameterGroups", () => {
  it("spares normalisations, biases and the scale from weight decay, and leaves the frozen out", () => {
    const model = new SrCLIPV2({ ...TINY, loss: "siglip" }, init);
    model.lockCLIP();
    const [plain, decayed] = parameterGroups(model, { lr: 1e-3, weightDecay: 0.05 });
    const names = (group: typeof plain): string[] => [...(group!.params as Map<string, Tensor>).keys()];
    expect([plain!.weightDecay, decayed!.weightDecay]).toEqual([0, 0.05]);
    expect(names(plain)).toContain("logit_bias");
    expect(names(plain)).toContain("visual_control.ln_post.weight");
    expect(names(plain)).toContain("visual_control.class_embedding");
    expect(names(decayed)).toContain("visual_control.proj");
    expect(names(decayed)).toContain("visual_control.transformer.zero_modules.0.weight");
    expect([...names(plain), ...names(decayed)].filter((name) => name.startsWith("clip."))).toEqual([]);
    model.dispose();
  });
});

describe("loadSrCLIP", () => {
  it("takes files with the image tower twice, once, or under the other name, and with a bias that is not used", async () => {
    const saved = filled();
    const state = saved.stateDict();
    const twice = withVisualAlias(state);
    expect(twice.size).toBeGreaterThan(state.size);
    const alias = new Map([...twice].filter(([name]) => !name.startsWith("clip.visual.")));
    const parallel = new Map([...state].map(([name, tensor]) => [`module.${name}`, tensor] as const));
    const biased = new Map([...state, ["clip.logit_bias", device.zeros([])] as const]);
    for (const entries of [state, twice, alias, parallel, biased]) {
      const model = new SrCLIPV2(TINY, init);
      loadSrCLIP(model, entries);
      expect(await model.clip.visual.proj.data()).toEqual(await saved.clip.visual.proj.data());
      model.dispose();
    }
    const model = new SrCLIPV2(TINY, init);
    state.delete("out_linear.bias");
    expect(() => loadSrCLIP(model, state)).toThrow("SrCLIPV2.loadStateDict: 1 missing: out_linear.bias [80]");
    expect(loadSrCLIP(model, state, { allowMissing: true }).missing).toEqual(["out_linear.bias"]);
    model.dispose();
    saved.dispose();
  });
});

describe("learning", () => {
  it("finds the texts of 16 images", async () => {
    const model = new SrCLIPV2({ ...TINY, fineDegradations: 2 }, init);
    fillWithScale(model);
    assign(model.logitScale, device.full([], 2.66));
    const pictures = waves(device, [16, 3, 32, 32]).sub(0.5).mul(4);
    // Text b of kind k is two words, 10 + k and 30 + b.
    const text = (kind: number, value: number): number[] => {
      const row = new Array<number>(16).fill(0);
      row.splice(0, 4, 98, 10 + kind, 30 + value, 99);
      return row;
    };
    const batch = Int32Array.from(
      Array.from({ length: 16 }, (_, b) => [text(0, b), text(1, b), text(2, b), text(3, b)]).flat(2),
    );
    const steps = 80;
    const schedule = cosineSchedule({ baseLr: 2e-3, warmup: 10, total: steps });
    const adam = new Adam([{ params: model.parameters(), lr: 0 }]);
    const step = (number: number): Tensor =>
      scope(() => {
        adam.setLearningRate(schedule(number));
        const { total } = srclipLoss(model.forward({ image: pictures, ids: batch }), { kind: "clip" });
        adam.step(backward(total));
        return detach(total);
      });
    const losses = Array.from({ length: steps }, (_, number) => step(number));
    expect(await losses[0]!.item()).toBeCloseTo(3.1923984, 4); // by a second implementation, in double precision
    expect(await losses[steps - 1]!.item()).toBeLessThan(0.5);
    const { image: seen, text: read } = noGrad(() => model.forward({ image: pictures, ids: batch }));
    const z = await seen!.degradation!.matmul(read!.degradation.transpose(0, 1)).data();
    const right = Array.from({ length: 16 }, (_, i) => {
      const row = z.slice(16 * i, 16 * i + 16);
      return row.indexOf(Math.max(...row)) === i ? 1 : 0;
    });
    expect(right.reduce<number>((sum, hit) => sum + hit, 0)).toBeGreaterThanOrEqual(15);
    model.dispose();
  });
});
