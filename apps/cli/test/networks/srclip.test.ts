import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clipConfig } from "@deplsr/clip";
import { encodeCheckpoint, openTensorFile } from "@deplsr/nn";
import { SrCLIPV2, srclipConfig } from "@deplsr/srclip";
import { bytesSource, Rng, rand, type StoredEntry, writeSafetensors } from "@deplsr/tensor";
import { testDevice } from "@deplsr/tensor/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeSrclip, loadSrclip, protocolOf } from "../../src/networks/srclip.ts";
import { metadataOf, type Protocol } from "../../src/train/checkpoint.ts";

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

/** Writes the folder's SRCLIP as the one in the box: images and texts in two files, with the vectors of some tokens. */
async function inTwoFiles(tokens: readonly number[], protocol?: Protocol): Promise<string> {
  const out = mkdtempSync(join(folder, "two-"));
  const { tensors } = await openTensorFile(bytesSource(readFileSync(join(folder, "model.safetensors"))));
  const halves: [Map<string, StoredEntry>, Map<string, StoredEntry>] = [new Map(), new Map()];
  for (const [name, { dtype, shape, read }] of tensors) {
    const isText = name.startsWith("clip.") && !/^clip\.(visual|logit_scale)/.test(name);
    const isTable = name.includes("token_embedding");
    const rows = isTable ? tokens : [null];
    const width = shape[1] ?? 1;
    const parts = await Promise.all(
      rows.map((row) =>
        row === null
          ? read(
              0,
              shape.reduce((a, b) => a * b, 1),
            )
          : read(row * width, width),
      ),
    );
    const bytes = Buffer.concat(parts);
    halves[isText ? 1 : 0].set(name, { dtype, shape: isTable ? [tokens.length, width] : shape, bytes });
  }
  const trimmed = { ...config, clip: { ...clip, text: { ...clip.text, tokens } } };
  const description = { ...describeSrclip(trimmed, null, protocol), texts: "words.safetensors" };
  writeFileSync(join(out, "srclip.safetensors"), writeSafetensors(halves[0], metadataOf(description)));
  writeFileSync(join(out, "words.safetensors"), writeSafetensors(halves[1]));
  return join(out, "srclip.safetensors");
}

test("an SRCLIP in two files is the one that it was made of, for the tokens that it kept", async () => {
  const tokens = [3, 17, 200, 598, 599];
  const file = await inTwoFiles(tokens, { template: "a {prompt}", levels: "training", fit: "crop" });
  const [whole, small] = [await loadSrclip(device, folder), await loadSrclip(device, file)];
  const ids = device.tensor([598, 3, 200, 17, 599, 0, 0, 0, 0, 0, 0, 0], [1, 12], { dtype: "i32" });
  expect(await small.encodeText(ids).data()).toEqual(await whole.encodeText(ids).data());
  const image = rand(device, [1, 3, 16, 16], new Rng(1));
  expect(await small.encodeImage(image).content.data()).toEqual(await whole.encodeImage(image).content.data());
  expect(small.parameterCount()).toBe(whole.parameterCount() - (600 - tokens.length) * 32);
  expect(await protocolOf(file)).toEqual({ template: "a {prompt}", levels: "training", fit: "crop" });
  expect(await protocolOf(folder)).toBeNull();
  rmSync(join(file, "../words.safetensors"));
  await expect(loadSrclip(device, file)).rejects.toThrow("words.safetensors does not exist");
  whole.dispose();
  small.dispose();
});
