import { Device, Rng } from "@deplsr/tensor";
import { afterAll, expect, it, vi } from "vitest";
import * as dat from "../src/index.ts";

const device = await Device.request();
afterAll(() => device.destroy());

it("no parameter of any preset is hidden", () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  const presets = Object.entries(dat).flatMap(([name, value]) => (/^DAT_/.test(name) ? [value as dat.DATConfig] : []));
  expect(presets.length).toBe(12);
  const changed = { dropPathRate: 0.1, dropRate: 0.1, attnDropRate: 0.1, resiConnection: "3conv" } as const;
  for (const config of [...presets, { ...dat.DAT_LIGHT_X2, ...changed }]) {
    const numHeads = config.numHeads.slice(0, 1);
    const model = new dat.DAT({ ...config, depth: [2], numHeads }, { device, rng: new Rng(1), blank: true });
    expect(model.parameters().size).toBeGreaterThan(50);
    model.dispose();
  }
  expect(warn.mock.calls).toEqual([]);
  warn.mockRestore();
});
