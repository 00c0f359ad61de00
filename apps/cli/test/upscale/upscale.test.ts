import { noGrad, scope } from "@deplsr/tensor";
import { describe, expect, test } from "vitest";
import { fromPlanes, toPlanes } from "../../src/data/crop.ts";
import { makeSr } from "../../src/networks/sr.ts";
import { bicubic, type Upscaler, upscaleImage } from "../../src/upscale/upscale.ts";
import { useDevice } from "../device.ts";
import { picture } from "../pictures.ts";
import { TINY_DAT } from "../tiny-network.ts";

describe("upscaleImage", () => {
  const device = useDevice();
  const upscaler = (): Upscaler => ({ network: makeSr(device(), TINY_DAT, 1), srclip: null, prompt: null });

  test("one tile is what the network makes of the whole image", async () => {
    const tool = upscaler();
    const image = picture(13, 9);
    const result = await upscaleImage(device(), tool, image);
    using whole = scope(() =>
      noGrad(() => tool.network.forward(device().tensor(toPlanes([image]), [1, 3, 9, 13]), null)),
    );
    expect(result).toEqual(fromPlanes(await whole.data(), 26, 18)[0]);
  });

  test("several tiles give an image of the right size without seams in a flat area", async () => {
    const tool = upscaler();
    const flat = { width: 50, height: 37, data: new Uint8Array(50 * 37 * 3).fill(120) };
    const told: string[] = [];
    const result = await upscaleImage(device(), tool, flat, {
      tile: 24,
      onTile: (done, total) => void told.push(`${done}/${total}`),
    });
    expect([result.width, result.height]).toEqual([100, 74]);
    expect(told).toEqual(["1/6", "2/6", "3/6", "4/6", "5/6", "6/6"]);
    // Every second pixel of the middle has the same neighbourhood, whichever tile it came from.
    const value = (x: number, y: number): number => result.data[(y * 100 + x) * 3]!;
    for (let x = 30; x < 70; x += 16)
      for (let y = 26; y < 48; y += 4) expect(Math.abs(value(x, y) - value(30, 26))).toBeLessThanOrEqual(1);
  });

  test("a 1x1 image becomes 2x2", async () => {
    const result = await upscaleImage(device(), upscaler(), picture(1, 1));
    expect([result.width, result.height, result.data.length]).toEqual([2, 2, 12]);
  });

  test("bicubic keeps a constant and the mean of a picture", async () => {
    const flat = { width: 4, height: 3, data: new Uint8Array(36).fill(77) };
    expect(await bicubic(device(), flat, 2)).toEqual({ width: 8, height: 6, data: new Uint8Array(8 * 6 * 3).fill(77) });
    const mean = (data: Uint8Array): number => data.reduce((sum, v) => sum + v, 0) / data.length;
    const large = await bicubic(device(), picture(16, 16), 2);
    expect(Math.abs(mean(large.data) - mean(picture(16, 16).data))).toBeLessThan(1);
  });

  test("the weights follow from the seed", async () => {
    const first = await upscaleImage(device(), upscaler(), picture(6, 6));
    expect(await upscaleImage(device(), upscaler(), picture(6, 6))).toEqual(first);
    const other: Upscaler = { network: makeSr(device(), TINY_DAT, 2), srclip: null, prompt: null };
    expect(await upscaleImage(device(), other, picture(6, 6))).not.toEqual(first);
  });

  test("a description that does not fit says which part", () => {
    expect(() => makeSr(device(), { ...TINY_DAT, num_heads: [3] }, 1)).toThrow(
      /^config: network_g: DAT: numHeads: 3 must be even/,
    );
    expect(() => makeSr(device(), { ...TINY_DAT, sharpness: 3 }, 1)).toThrow(
      "config: network_g: DAT: unknown argument sharpness",
    );
  });

  test("a tensor over the adapter's limits names itself, its bytes and the limit", () => {
    const { maxTensorBytes } = device().info;
    const height = Math.ceil(maxTensorBytes / 4000) + 1;
    expect(() => device().zeros([height, 1000], { label: "photograph" })).toThrow(
      new RegExp(
        `photograph f32\\[${height}, 1000\\]: a tensor of ${height * 4000} bytes is over this adapter's limit of ${maxTensorBytes} bytes`,
      ),
    );
  });
});
