import { backward, Device, detach, Rng, rand, scope } from "@deplsr/tensor";
import { expectClose, testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import { CLIP, type CLIPOptions, clipConfig, clipLoss } from "../src/index.ts";
import { fill, TINY, tokens, waves } from "./published-numbers.ts";

const device = await testDevice();
const image = waves(device, 3);
const ids = device.tensor(Int32Array.from([0, 1, 2].flatMap(tokens)), [3, 16]);

function filled(): CLIP {
  const model = new CLIP(TINY, { device, rng: new Rng(1) });
  fill(model);
  return model;
}

/** Gradients of the loss by the names of the parameters. */
async function gradients(model: CLIP, options: CLIPOptions = {}): Promise<Map<string, ArrayLike<number>>> {
  const output = model.forward(image, ids, options);
  const byTensor = backward(clipLoss({ ...output, image: output.imageFeatures, text: output.textFeatures }));
  const byName = new Map<string, ArrayLike<number>>();
  for (const [name, tensor] of model.parameters()) {
    const gradient = byTensor.get(tensor);
    if (gradient) byName.set(name, await gradient.data());
  }
  return byName;
}

function trained(model: CLIP, prefix: string): string[] {
  const names = [...model.parameters()].filter(([, tensor]) => tensor.requiresGrad).map(([name]) => name);
  const parts = names.map((name) => name.replace(/^((?:visual\.)?(?:transformer\.resblocks\.\d+|\w+)).*/, "$1"));
  return [...new Set(parts)].filter((name) => name.startsWith("visual.") === (prefix === "visual.")).sort();
}

const SCALE = ["logit_scale"];

describe("lockImageTower", () => {
  const LAST = ["visual.ln_post", "visual.transformer.resblocks.2"];
  const FIRST = ["visual.class_embedding", "visual.conv1", "visual.ln_pre", "visual.positional_embedding"];
  const BLOCKS = ["visual.transformer.resblocks.0", "visual.transformer.resblocks.1"];

  it.each([
    [0, []],
    [1, ["visual.proj"]],
    [2, ["visual.proj", ...LAST]],
    [3, ["visual.proj", ...LAST, ...BLOCKS.slice(1)]],
    [4, ["visual.proj", ...LAST, ...BLOCKS]],
    [5, ["visual.proj", ...LAST, ...BLOCKS, ...FIRST]],
    [9, ["visual.proj", ...LAST, ...BLOCKS, ...FIRST]],
  ])("leaves the last %i groups unlocked", (groups, names) => {
    const model = filled();
    model.lockImageTower(groups);
    expect(trained(model, "visual.")).toEqual([...names].sort());
    expect(trained(model, "").length).toBeGreaterThan(5);
    model.dispose();
  });

  it("gives the gradients of what is left, which are the same", async () => {
    const model = filled();
    const all = await gradients(model);
    model.lockImageTower(2);
    const some = await gradients(model);
    const locked = [...all.keys()].filter((name) => !some.has(name));
    expect(locked.filter((name) => !name.startsWith("visual."))).toEqual([]);
    expect(locked.length).toBe(4 + 1 + 2 * 12);
    for (const [name, values] of some) expectClose(values, all.get(name)!);
    model.dispose();
  });

  it("refuses what is no number of groups", () => {
    const model = filled();
    expect(() => model.lockImageTower(-1)).toThrow(
      "lock: -1 groups cannot stay unlocked; give a whole number from 0 to 5",
    );
    model.dispose();
  });
});

describe("lockTextTower", () => {
  const LAST = ["ln_final", "transformer.resblocks.1"];

  it.each([
    [0, []],
    [1, ["text_projection"]],
    [2, ["text_projection", ...LAST]],
    [3, ["text_projection", ...LAST, "transformer.resblocks.0"]],
    [4, ["text_projection", ...LAST, "transformer.resblocks.0", "positional_embedding", "token_embedding"]],
  ])("leaves the last %i groups unlocked", (layers, names) => {
    const model = filled();
    model.lockTextTower(layers);
    expect(trained(model, "")).toEqual([...names, ...SCALE].sort());
    model.dispose();
  });
});

describe("checkpoint", () => {
  it("gives the same gradients, also beside locked blocks", async () => {
    const model = filled();
    for (const lock of [() => {}, () => model.lockImageTower(2), () => model.lockTextTower()]) {
      lock();
      const plain = await gradients(model);
      const again = await gradients(model, { checkpoint: true });
      expect([...again.keys()].sort()).toEqual([...plain.keys()].sort());
      for (const [name, values] of again) expectClose(values, plain.get(name)!);
    }
    model.dispose();
  });

  it("takes less memory", async () => {
    const deep = clipConfig({ ...TINY, vision: { ...TINY.vision, layers: 12 } });
    const peak = async (checkpoint: boolean): Promise<number> => {
      const own = await Device.request();
      const model = new CLIP(deep, { device: own, rng: new Rng(1) });
      const pictures = rand(own, [8, 3, 32, 32], new Rng(2));
      const before = own.memory().liveBytes;
      const sum = scope(() => {
        const y = model.encodeImage(pictures, { checkpoint }).square().sum();
        backward(y);
        return detach(y);
      });
      expect(await sum.item()).toBeGreaterThan(0);
      return own.memory().peakBytes - before;
    };
    expect((await peak(true)) * 2).toBeLessThan(await peak(false));
  });
});
