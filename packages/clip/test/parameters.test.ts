import type { Module } from "@deplsr/nn";
import { Rng } from "@deplsr/tensor";
import { testDevice } from "@deplsr/tensor/testing";
import { expect, it, vi } from "vitest";
import { CLIP, clipConfig, ResNetCLIP, SIGLIP_START } from "../src/index.ts";
import { TINY } from "./published-numbers.ts";

const device = await testDevice();

it("no parameter of any kind of model is hidden", () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  const init = { device, rng: new Rng(1), blank: true };
  const scaled = clipConfig({ ...TINY, ...SIGLIP_START, vision: { ...TINY.vision, layerScale: 0.1 }, quickGelu: true });
  const vision = { imageSize: 32, width: 16, layers: [1, 2, 1, 1] } as const;
  const models: Module[] = [
    new CLIP(TINY, init),
    new CLIP(scaled, init),
    new ResNetCLIP({ embedDim: 16, quickGelu: true, vision, text: TINY.text }, init),
  ];
  for (const model of models) {
    expect(model.parameters().size).toBeGreaterThan(50);
    model.dispose();
  }
  expect(warn.mock.calls).toEqual([]);
  warn.mockRestore();
});
