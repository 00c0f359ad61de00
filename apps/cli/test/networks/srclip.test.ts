import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clipConfig } from "@deplsr/clip";
import { encodeCheckpoint } from "@deplsr/nn";
import { SrCLIPV2, srclipConfig } from "@deplsr/srclip";
import { Rng, rand } from "@deplsr/tensor";
import { testDevice } from "@deplsr/tensor/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeSrclip, loadSrclip } from "../../src/networks/srclip.ts";

const device = await testDevice();
const clip = clipConfig({
  embedDim: 24,
  vision: { imageSize: 16, patchSize: 8, width: 32, layers: 2, headWidth: 16 },
  text: { contextLength: 12, vocabSize: 600, width: 32, heads: 2, layers: 2 },
});
const config = srclipConfig(clip, { loss: "clip", fineDegradations: 5 });
let folder = "";
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "deplsr-srclip-"));
  const model = new SrCLIPV2(config, { device, rng: new Rng(3) });
  writeFileSync(join(folder, "model.json"), JSON.stringify(describeSrclip(config)));
  writeFileSync(join(folder, "model.safetensors"), await encodeCheckpoint(model));
  model.dispose();
});
afterAll(() => rmSync(folder, { recursive: true }));

test("an SRCLIP for images only sees them as the whole one does, without the memory of the text tower", async () => {
  const images = rand(device, [2, 3, 16, 16], new Rng(1));
  const seen: number[][] = [];
  const bytes: number[] = [];
  for (const imagesOnly of [false, true]) {
    const before = device.memory().liveBytes;
    const model = await loadSrclip(device, folder, { imagesOnly });
    await device.sync();
    bytes.push(device.memory().liveBytes - before);
    const { content, fine } = model.encodeImage(images, { normalize: true });
    seen.push([...(await content.data()), ...(await fine!.data())]);
    expect([...model.parameters().values()].some(({ requiresGrad }) => requiresGrad)).toBe(false);
    if (imagesOnly) expect(() => model.encodeTexts(new Int32Array(7 * 12))).toThrow("was disposed");
    model.dispose();
  }
  expect(seen[1]).toEqual(seen[0]);
  expect(bytes[1]! / bytes[0]!).toBeLessThan(0.75);
});
