import { readFile } from "node:fs/promises";
import { DIAGNOSIS_PROMPTS } from "@deplsr/models";
import { DIAGNOSIS_KINDS, encodePrompts } from "@deplsr/srclip";
import { Device, readSafetensors } from "@deplsr/tensor";
import { expect, it } from "vitest";
import { askSrclip } from "../../src/diagnose/asked.ts";
import { styledKinds, templateOf } from "../../src/evaluate/protocol.ts";
import { SHIPPED_SRCLIP } from "../../src/networks/shipped.ts";

it("the prompts' features in the box are those of the text tower in the box", async () => {
  const device = await Device.request({ backend: "cpu" });
  const { model, protocol, tokenizer } = await askSrclip(device, SHIPPED_SRCLIP);
  const kinds = styledKinds(protocol, DIAGNOSIS_KINDS);
  const { contextLength } = model.config.clip.text;
  const features = encodePrompts(model, device, tokenizer, kinds, { template: templateOf(protocol), contextLength });
  const { tensors, metadata } = readSafetensors(await readFile(DIAGNOSIS_PROMPTS));
  expect(JSON.parse(metadata.prompts!)).toEqual(Object.fromEntries(kinds.map(({ name, prompts }) => [name, prompts])));
  for (const [i, { name }] of kinds.entries()) {
    const stored = tensors.get(name)!;
    expect(stored.shape).toEqual(features[i]!.shape);
    const [ours, theirs] = [stored.toFloat32(), await features[i]!.data()];
    const worst = ours.reduce((most, value, j) => Math.max(most, Math.abs(value - theirs[j]!)), 0);
    expect(worst).toBeLessThan(1e-6);
  }
  device.destroy();
});
