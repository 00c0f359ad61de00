import { SIGLIP_START } from "@deplsr/clip";
import type { Linear } from "@deplsr/nn";
import { backward, Rng } from "@deplsr/tensor";
import { expectClose, testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import { countFinetuneCLIPParameters, FinetuneCLIP, SrCLIPV2, srclipLoss, srclipPreset } from "../src/index.ts";
import { TINY, textIds, waves } from "./published-numbers.ts";

const device = await testDevice();
const init = { device, rng: new Rng(1) };
const image = waves(device, [3, 3, 32, 32]);
const ids = Int32Array.from([0, 1, 2].flatMap((b) => [0, 1, 2, 3, 4, 5, 6].flatMap((r) => textIds((b + r) % 3))));

describe("FinetuneCLIP", () => {
  it("loads a CLIP, and reads degradations through its layers", async () => {
    const model = new FinetuneCLIP(TINY, init);
    const source = new SrCLIPV2(TINY, init).clip;
    expect(model.parameterCount()).toBe(countFinetuneCLIPParameters(TINY));
    expect(countFinetuneCLIPParameters(srclipPreset("ViT-B-32"))).toBe(165_181_697);
    const report = model.loadStateDict(source.stateDict(), { allowMissing: true });
    expect(report.missing.every((name) => /^(fine\d?|out)_linear\./.test(name))).toBe(true);
    expect(report.missing.length).toBe(10);
    const features = model.encodeImage(image, { control: true, normalize: true });
    expect(features.fine!.shape).toEqual([3, 5, 16]);
    expect(await model.encodeImage(image).content.data()).toEqual(await source.encodeImage(image).data());
    model.dispose();
  });

  it("has an MLP of four layers before its head", async () => {
    const model = new FinetuneCLIP(TINY, init);
    const { content, degradation, fine } = model.encodeImage(image);
    const through = async (x: readonly number[], { weight, bias }: Linear): Promise<number[]> => {
      const [w, b] = [await weight.data(), await bias!.data()];
      return Array.from(b, (start, row) =>
        x.reduce((sum, value, column) => sum + value * w[row * x.length + column]!, start),
      );
    };
    let x = [...(await content.data())].slice(0, 16);
    for (const layer of [model.fineLinear, model.fine1Linear, model.fine2Linear]) {
      x = (await through(x, layer)).map((value) => Math.max(value, 0));
    }
    x = await through(x, model.fine3Linear);
    expectClose((await degradation!.data()).slice(0, 16), x);
    expectClose((await fine!.data()).slice(0, 80), await through(x, model.outLinear));
    model.dispose();
  });

  it("gives the losses what they compare, with its CLIP's scale and bias", async () => {
    const model = new FinetuneCLIP({ ...TINY, clip: { ...TINY.clip, ...SIGLIP_START } }, init);
    const output = model.forward({ image, ids });
    expect(await output.logitScale.item()).toBeCloseTo(10, 5);
    expect(await output.logitBias!.item()).toBe(-10);
    expect(output.text!.fine!.shape).toEqual([3, 5, 16]);
    const gradients = backward(srclipLoss(output, { kind: "siglip" }).total);
    for (const [name, tensor] of model.parameters()) expect(gradients.has(tensor), name).toBe(true);
    model.dispose();
  });
});
