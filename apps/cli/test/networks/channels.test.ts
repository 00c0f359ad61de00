import { Module } from "@deplsr/nn";
import { asSeen, throughChannels } from "@deplsr/restore";
import { expect, test } from "vitest";
import { checkChannels } from "../../src/networks/channels.ts";
import { useDevice } from "../device.ts";

const device = useDevice();

test("mean, std and luma, by their definitions", async () => {
  // Two pixels: white and (0.2, 0.4, 0.6).
  const images = device().tensor([1, 0.2, 1, 0.4, 1, 0.6], [1, 3, 1, 2]);
  const plain = asSeen(images, {});
  expect(plain).toBe(images);
  const normalised = await asSeen(images, { mean: [0.5, 0.4, 0.3], std: [0.5, 2, 0.1] }).data();
  for (const [i, value] of [1, -0.6, 0.3, 0, 7, 3].entries()) expect(normalised[i]).toBeCloseTo(value, 5);
  const luma = asSeen(images, { color: "y" });
  expect(luma.shape).toEqual([1, 1, 1, 2]);
  const values = await luma.data();
  expect(values[0]! * 255).toBeCloseTo(235, 3);
  expect(values[1]! * 255).toBeCloseTo(16 + 0.2 * 65.481 + 0.4 * 128.553 + 0.6 * 24.966, 3);
  const both = await asSeen(images, { color: "y", mean: [0.5], std: [0.5] }).data();
  expect(both[0]).toBeCloseTo((235 / 255 - 0.5) / 0.5, 5);
});

test("channels that do not fit are named", () => {
  checkChannels({ color: "y", mean: [0] }, 1);
  expect(() => checkChannels({ color: "y" }, 3)).toThrow(
    'config: key "network_g.in_chans" is 3: expected 1 for luma, as "datasets.train.color" says',
  );
  expect(() => checkChannels({}, 1)).toThrow('"network_g.in_chans" is 1: expected 3 for images in colour');
  expect(() => checkChannels({ std: [1] }, 3)).toThrow('"datasets.train.std" has 1 numbers: expected 3');
});

test("a network that gives back what it sees gives back the image, whatever it was trained on", async () => {
  const images = device().tensor([1, 0.2, 1, 0.4, 1, 0.6], [1, 3, 1, 2]);
  const shapes: number[][] = [];
  const same = {
    module: new (class extends Module {})(),
    scale: 1,
    window: 1,
    load: () => expect.fail("not called"),
    promptDim: null,
    forward: (seen: typeof images) => {
      shapes.push([...seen.shape]);
      return seen;
    },
  };
  expect(throughChannels(same, {})).toBe(same);
  for (const channels of [
    { mean: [0.5, 0.4, 0.3], std: [0.5, 2, 0.1] },
    { color: "y" },
    { color: "y", mean: [0.2] },
  ] as const) {
    const values = await throughChannels(same, channels).forward(images).data();
    for (const [i, value] of [1, 0.2, 1, 0.4, 1, 0.6].entries()) expect(values[i]).toBeCloseTo(value, 5);
  }
  expect(shapes.map((shape) => shape[1])).toEqual([3, 1, 1]);
});
