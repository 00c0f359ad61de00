import type { Module } from "@deplsr/nn";
import { Rng } from "@deplsr/tensor";
import { testDevice } from "@deplsr/tensor/testing";
import { expect, it, vi } from "vitest";
import { FinetuneCLIP, RealDAT, realDATConfigFromReference, SrCLIP, SrCLIPV2 } from "../src/index.ts";
import { TINY } from "./published-numbers.ts";

const device = await testDevice();

it("no parameter of any kind of model is hidden", () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  const init = { device, rng: new Rng(1), blank: true };
  const sizes = {
    img_size: 16,
    embed_dim: 32,
    split_size: [4, 8],
    depth: [2, 1],
    num_heads: [4, 4],
    fusion_num_heads: 4,
  };
  const drops = { drop_path_rate: 0.1, resi_connection: "3conv", upsampler: "pixelshuffledirect" };
  const models: Module[] = [
    new SrCLIP(TINY, init),
    new SrCLIPV2({ ...TINY, loss: "siglip" }, init),
    new FinetuneCLIP(TINY, init),
    new RealDAT(realDATConfigFromReference(sizes), init),
    new RealDAT({ ...realDATConfigFromReference({ ...sizes, ...drops }), fusionLayers: "none" }, init),
  ];
  for (const model of models) {
    expect(model.parameters().size).toBeGreaterThan(50);
    model.dispose();
  }
  expect(warn.mock.calls).toEqual([]);
  warn.mockRestore();
});
