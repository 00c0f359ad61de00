import { readFileSync } from "node:fs";
import { StateDictError } from "@deplsr/nn";
import { backward, Device, noGrad, Rng, readSafetensors, requireGrad, scope, type Tensor } from "@deplsr/tensor";
import { expectClose } from "@deplsr/tensor/testing";
import { afterAll, describe, expect, it } from "vitest";
import { DISTS, imageTensor, LPIPS, type LPIPSNet } from "../../src/index.ts";
import { type Golden, golden } from "./golden.ts";

const device = await Device.request();
afterAll(() => device.destroy());
const init = { device, rng: new Rng(1) };

function pairOf(file: Golden, name: string): [image: Tensor, reference: Tensor] {
  return [imageTensor(device, file.image(`${name}.dist.rgb`)), imageTensor(device, file.image(`${name}.ref.rgb`))];
}

describe("LPIPS", () => {
  it.each<[LPIPSNet, string]>([
    ["alex", "case1"],
    ["vgg", "case0"],
    ["squeeze", "case1"],
  ])("of %s is the reference's", async (net, name) => {
    const file = golden(`lpips_${net}`);
    const metric = new LPIPS({ net }, init);
    metric.load(file.weights());
    const pair = pairOf(file, name);
    const taps = await Promise.all(noGrad(() => metric.contributions(...pair)).map((tap) => tap.item()));
    expectClose(taps, file.values(`${name}.layer`), { rel: 2e-5, abs: 0 });
    expect(await noGrad(() => metric.forward(...pair)).item()).toBeCloseTo(file.values(`${name}.score`)[0]!, 5);
    expect(await noGrad(() => metric.forward(pair[0], pair[0])).item()).toBe(0);
    metric.dispose();
  });

  it("takes the published heads beside a trunk, and a batch", async () => {
    const file = golden("lpips_squeeze");
    const heads = new URL("../../../../../shared/data/lpips/lpips_v0.1_squeeze_lin.safetensors", import.meta.url);
    const trunk = new Map([...file.weights()].filter(([name]) => name.startsWith("features.")));
    const metric = new LPIPS({ net: "squeeze" }, init);
    expect(metric.load(trunk, readSafetensors(readFileSync(heads)).tensors).missing).toEqual([]);
    const [image, reference] = pairOf(file, "case1");
    const both = noGrad(() => metric.forward(stacked(image, reference), stacked(reference, reference)));
    const [distance, none] = await both.data();
    expect(distance).toBeGreaterThan(0);
    expect(none).toBe(0);
    metric.dispose();
  });

  it("gives the image a gradient, and its own tensors none", async () => {
    const file = golden("lpips_squeeze");
    const metric = new LPIPS({ net: "squeeze" }, init);
    metric.load(file.weights());
    const [image, reference] = pairOf(file, "case1");
    const loss = metric.forward(requireGrad(image), reference);
    const before = await loss.item();
    const gradients = backward(loss);
    expect([...gradients.keys()]).toEqual([image]);
    const closer = noGrad(() => scope(() => image.sub(gradients.get(image)!.mul(0.1))));
    expect(await noGrad(() => metric.forward(closer, reference)).item()).toBeLessThan(before);
    metric.dispose();
  });

  it("says what is wrong", () => {
    const weights = golden("lpips_squeeze").weights();
    const metric = new LPIPS({ net: "squeeze" }, init);
    const renamed = new Map([...weights].map(([name, tensor]) => [`module.${name}`, tensor]));
    metric.load(renamed);
    const wrong = new Map(weights);
    wrong.delete("lin3.model.1.weight");
    wrong.set("features.0.bias", weights.get("features.0.weight")!);
    expect(() => metric.load(wrong)).toThrow(StateDictError);
    expect(() => metric.load(wrong)).toThrow(
      "1 missing: lin3.model.1.weight [1, 384, 1, 1]; 1 of another shape: features.0.bias [64, 3, 3, 3] (expected [64])",
    );
    const [small, other] = [device.zeros([1, 3, 16, 40]), device.zeros([1, 3, 17, 40])];
    expect(() => metric.forward(small, small)).toThrow("LPIPS: f32[1, 3, 16, 40] has a side below 17 pixels");
    expect(() => metric.forward(device.zeros([1, 3, 18, 40]), other)).toThrow("LPIPS: the image f32[1, 3, 18, 40] and");
    expect(() => metric.forward(device.zeros([3, 18, 40]), other)).toThrow("LPIPS: takes (b, 3, h, w)");
    metric.dispose();
  });
});

function stacked(a: Tensor, b: Tensor): Tensor {
  return scope(() => a.mul(device.tensor([1, 0], [2, 1, 1, 1])).add(b.mul(device.tensor([0, 1], [2, 1, 1, 1]))));
}

describe("DISTS", () => {
  it("is the reference's", async () => {
    const file = golden("dists");
    const metric = new DISTS(init);
    metric.load(file.weights());
    for (const name of ["case0", "case2"]) {
      const pair = pairOf(file, name);
      const { texture, structure } = noGrad(() => metric.similarities(...pair));
      expectClose(await texture.data(), file.values(`${name}.s1`), { rel: 0, abs: 1e-3 });
      expectClose(await structure.data(), file.values(`${name}.s2`), { rel: 0, abs: 1e-3 });
      expect(await noGrad(() => metric.forward(...pair)).item()).toBeCloseTo(file.values(`${name}.score`)[0]!, 5);
      expect(Math.abs(await noGrad(() => metric.forward(pair[1], pair[1])).item())).toBeLessThan(1e-6);
    }
    metric.dispose();
  });
});
