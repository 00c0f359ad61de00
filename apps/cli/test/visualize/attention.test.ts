import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { clipConfig } from "@deplsr/clip";
import { encodeTensors } from "@deplsr/nn";
import { controlledBy, runAdaptor, SrCLIPV2, srclipConfig } from "@deplsr/srclip";
import { assign, Rng, rand, scope } from "@deplsr/tensor";
import { expect, test } from "vitest";
import { readImage, writeImage } from "../../src/data/image.ts";
import { describeSrclip } from "../../src/networks/srclip.ts";
import { metadataOf } from "../../src/train/checkpoint.ts";
import { classAttention, runAttention } from "../../src/visualize/attention.ts";
import { useDevice } from "../device.ts";
import { picture } from "../pictures.ts";
import { recordedOutput } from "../recorded-output.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const device = useDevice();
const TINY_CLIP = clipConfig({
  embedDim: 24,
  vision: { imageSize: 16, patchSize: 8, width: 32, layers: 2, headWidth: 16 },
  text: { contextLength: 12, vocabSize: 600, width: 32, heads: 2, layers: 2 },
});

test("the class token's attention is the first row of each block's map: shares that sum to 1 with its own", async () => {
  const model = new SrCLIPV2(srclipConfig(TINY_CLIP), { device: device(), rng: new Rng(3) });
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

test("an SRCLIP that was trained on squashed photographs is shown all of one, and there is no square to choose", async () => {
  const folder = temporaryFolder();
  const [image, srclip, plain] = ["photo.png", "srclip.safetensors", "plain.safetensors"].map((name) =>
    join(folder, name),
  ) as [string, string, string];
  await writeImage(image, picture(60, 40));
  const model = new SrCLIPV2(srclipConfig(TINY_CLIP), { device: device(), rng: new Rng(3) });
  const protocol = { template: "{prompt}", levels: "training", fit: "squash" } as const;
  const described = metadataOf(describeSrclip(model.config, null, protocol));
  writeFileSync(srclip, await encodeTensors(model.stateDict(), described));
  // One that does not say how it was trained is taken for the original's.
  writeFileSync(plain, await encodeTensors(model.stateDict(), metadataOf(describeSrclip(model.config))));
  const flags = { image, backend: "cpu", adapter: undefined, out: folder, overwrite: true } as const;
  for (const path of [srclip, plain]) {
    const { output, stdout } = recordedOutput(true);
    await runAttention({ ...flags, srclip: path, square: undefined }, { output });
    const { square, blocks } = JSON.parse(stdout()) as { square: unknown; blocks: { map: number[][] }[] };
    expect(square).toBeNull();
    expect(blocks.map(({ map }) => [map.length, map[0]!.length])).toEqual(Array.from({ length: 4 }, () => [2, 2]));
    // Two blocks of each tower side by side: two places of 224 with 12 around them.
    expect((await readImage(join(folder, "photo_attention.png"))).width).toBe(2 * 224 + 3 * 12);
    await expect(
      runAttention({ ...flags, srclip: path, square: "0,0" }, { output: recordedOutput().output }),
    ).rejects.toThrow("--square 0,0: there is nothing to choose, this SRCLIP sees it whole: leave it out");
  }
});
