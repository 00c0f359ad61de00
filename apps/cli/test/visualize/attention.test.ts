import { clipConfig } from "@deplsr/clip";
import { controlledBy, runAdaptor, SrCLIPV2, srclipConfig } from "@deplsr/srclip";
import { assign, Rng, rand, scope } from "@deplsr/tensor";
import { expect, test } from "vitest";
import { classAttention } from "../../src/visualize/attention.ts";
import { useDevice } from "../device.ts";

const device = useDevice();

test("the class token's attention is the first row of each block's map: shares that sum to 1 with its own", async () => {
  const clip = clipConfig({
    embedDim: 24,
    vision: { imageSize: 16, patchSize: 8, width: 32, layers: 2, headWidth: 16 },
    text: { contextLength: 12, vocabSize: 600, width: 32, heads: 2, layers: 2 },
  });
  const model = new SrCLIPV2(srclipConfig(clip), { device: device(), rng: new Rng(3) });
  const rng = new Rng(4);
  // Open taps: the frozen tower is controlled.
  scope(() => {
    for (const { weight } of model.visualControl.transformer.zeroModules)
      assign(weight, rand(device(), weight.shape, rng));
  });
  const image = rand(device(), [1, 3, 16, 16], new Rng(5));
  const { adaptor, tower } = classAttention(model, image);
  expect([adaptor.shape, tower.shape]).toEqual([
    [2, 5],
    [2, 5],
  ]);
  const { taps } = runAdaptor(model.visualControl, image);
  const maps = {
    adaptor: model.visualControl.attentionMaps(image),
    tower: model.clip.visual.attentionMaps(image, controlledBy(taps)),
    plain: model.clip.visual.attentionMaps(image),
  };
  const firstRows = async (of: keyof typeof maps): Promise<number[]> =>
    (await Promise.all(maps[of].map(async (map) => [...(await map.data()).slice(0, 5)]))).flat();
  const [seen, controlled] = [[...(await adaptor.data())], [...(await tower.data())]];
  expect(seen).toEqual(await firstRows("adaptor"));
  expect(controlled).toEqual(await firstRows("tower"));
  expect(controlled).not.toEqual(await firstRows("plain"));
  for (const row of [seen.slice(0, 5), seen.slice(5), controlled.slice(0, 5), controlled.slice(5)]) {
    for (const share of row) expect(share).toBeGreaterThanOrEqual(0);
    expect(row.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 5);
  }
});
