import { encodeCheckpoint, loadFile, openTensorFile } from "@deplsr/nn";
import { bytesSource, Rng, type Tensor } from "@deplsr/tensor";
import { expectClose, testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import { CLIP, clipConfig, loadCLIP, resizeImagePositions, resizeTextPositions, SIGLIP_START } from "../src/index.ts";
import { TINY } from "./published-numbers.ts";

const device = await testDevice();
const init = { device, rng: new Rng(1) };

describe("loadCLIP", () => {
  it("takes files of parallel training and of text towers of their own", async () => {
    const saved = new CLIP(TINY, init);
    const renamed = new Map<string, Tensor>();
    for (const [name, tensor] of saved.stateDict()) {
      const top = name === "logit_scale" || name.startsWith("visual.");
      renamed.set(`module.${top ? "" : "text."}${name}`, tensor);
    }
    renamed.set("input_resolution", device.full([], 32));
    const model = new CLIP(TINY, init);
    expect(loadCLIP(model, renamed).loaded.length).toBe(saved.stateDict().size);
    for (const [name, tensor] of saved.stateDict()) {
      expect(await model.stateDict().get(name)!.data(), name).toEqual(await tensor.data());
    }
    saved.dispose();
    model.dispose();
  });

  it("resizes positions of another image size and context length, and supplies a bias", async () => {
    const saved = new CLIP(TINY, init);
    const wide = clipConfig({
      ...TINY,
      ...SIGLIP_START,
      vision: { ...TINY.vision, imageSize: 48 },
      text: { ...TINY.text, contextLength: 9 },
    });
    const model = new CLIP(wide, init);
    loadCLIP(model, saved.stateDict());
    expect(await model.logitBias!.item()).toBe(0);
    const expected = resizeImagePositions(saved.visual.positionalEmbedding, 6);
    expect(await model.visual.positionalEmbedding.data()).toEqual(await expected.data());
    saved.dispose();
    model.dispose();
  });

  it("resizes positions as they are read from their file", async () => {
    const saved = new CLIP(TINY, init);
    const { tensors } = await openTensorFile(bytesSource(await encodeCheckpoint(saved)));
    const sizes = { vision: { ...TINY.vision, imageSize: 48 }, text: { ...TINY.text, contextLength: 9 } };
    const [once, twice] = [
      new CLIP(clipConfig({ ...TINY, ...sizes }), init),
      new CLIP(clipConfig({ ...TINY, ...sizes }), init),
    ];
    loadCLIP(once, saved.stateDict());
    await loadFile(tensors, (entries, options) => loadCLIP(twice, entries, options));
    for (const [name, tensor] of once.stateDict()) {
      expect(await twice.stateDict().get(name)!.data(), name).toEqual(await tensor.data());
    }
    for (const model of [saved, once, twice]) model.dispose();
  });

  it("lists what does not fit", () => {
    const saved = new CLIP(TINY, init);
    const state = saved.stateDict();
    state.delete("ln_final.bias");
    state.set("extra", device.zeros([1]));
    state.set("text_projection", device.zeros([2, 2]));
    const model = new CLIP(TINY, init);
    expect(() => loadCLIP(model, state)).toThrow(
      "CLIP.loadStateDict: 1 missing: ln_final.bias [24]; 1 unexpected: extra [1]; " +
        "1 of another shape: text_projection [2, 2] (expected [24, 16])",
    );
    saved.dispose();
    model.dispose();
  });
});

describe("positions", () => {
  it("keep the class token and constant grids", async () => {
    const grid = device.tensor([9, 9, ...new Array(18).fill(3)], [10, 2]);
    const resized = resizeImagePositions(grid, 5);
    expect(resized.shape).toEqual([26, 2]);
    expectClose(await resized.data(), [9, 9, ...new Array(50).fill(3)]);
    expect(resizeImagePositions(grid, 3)).toBe(grid);
    expect(() => resizeImagePositions(device.zeros([9, 2]), 3)).toThrow("[9, 2] is not (1 + grid², c)");
  });

  it("of texts lie on straight lines between the old ones", async () => {
    const line = device.tensor([0, 10, 1, 20, 2, 30, 3, 40], [4, 2]);
    expectClose(await resizeTextPositions(line, 2).data(), [0.5, 15, 2.5, 35]);
  });
});
