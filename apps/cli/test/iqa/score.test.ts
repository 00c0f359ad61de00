import { join } from "node:path";
import type { Image, LearnedMetric, SetMetric } from "@deplsr/metrics";
import { Device, FileFormatError } from "@deplsr/tensor";
import { expect, test } from "vitest";
import { writeImage } from "../../src/data/image.ts";
import { writeFileAtomic } from "../../src/files.ts";
import { listPairs } from "../../src/iqa/pairs.ts";
import { scoreAll } from "../../src/iqa/score.ts";
import { missingWeights, openMetric } from "../../src/iqa/weights.ts";
import { picture } from "../pictures.ts";
import { alone, recordedOutput } from "../recorded-output.ts";
import { temporaryFolder } from "../temporary-folder.ts";

async function brightness(images: AsyncIterable<Image>): Promise<number> {
  let [sum, count] = [0, 0];
  for await (const { data } of images) {
    for (let i = 0; i < data.length; i++) sum += data[i]!;
    count += data.length;
  }
  return sum / count;
}

test("a metric of sets sees every image and every reference that can be read", async () => {
  const folder = temporaryFolder();
  const metric: SetMetric = {
    name: "brightness",
    lowerBetter: true,
    needsReference: true,
    scoreSets: async (images, references) => (await brightness(images)) - (await brightness(references)),
  };
  const grey = (value: number) => ({ width: 4, height: 4, data: new Uint8Array(48).fill(value) });
  for (const [name, value] of [
    ["sr/a.png", 10],
    ["sr/b.png", 20],
    ["hr/a.png", 1],
    ["hr/c.png", 3],
  ] as const) {
    await writeImage(join(folder, name), grey(value));
  }
  for (const name of ["sr/c.png", "hr/d.png"]) await writeFileAtomic(join(folder, name), "no image");
  const files = await listPairs(join(folder, "sr"), join(folder, "hr"));
  const { output, stdout } = recordedOutput();
  const { given, images, mean, skipped } = await scoreAll(files, [metric], { ...alone(output), cropReference: false });
  expect(stdout()).toContain("brightness: 2 images beside 2");
  expect([given, images]).toEqual([3, []]);
  expect([...mean]).toEqual([["brightness", { value: 13, images: 2 }]]);
  expect(skipped.map(({ name }) => name)).toEqual([join(folder, "sr/c.png"), join(folder, "hr/d.png")]);
});

test("a learned metric says which files to bring and where to put them, and is made of them", async () => {
  const weights = join(temporaryFolder(), "weights");
  const metric: LearnedMetric = {
    name: "first-byte",
    lowerBetter: false,
    needsReference: false,
    weights: [
      { name: "trunk.pth", from: "https://example.org/trunk" },
      { name: "head.pth", from: "https://example.org/head" },
    ],
    open: async (_device, files) => {
      const [trunk] = await files.get("trunk.pth")!.read(0, 1);
      if (trunk === 0) throw new FileFormatError("checkpoint: cut off");
      return { name: "first-byte", lowerBetter: false, needsReference: false, score: () => trunk! + files.size };
    },
  };
  await writeFileAtomic(join(weights, "trunk.pth"), Uint8Array.of(40));
  expect(await missingWeights(metric, weights)).toBe(
    `first-byte needs head.pth (https://example.org/head): bring it into ${weights}`,
  );
  await writeFileAtomic(join(weights, "head.pth"), "");
  expect(await missingWeights(metric, weights)).toBeUndefined();
  const device = await Device.request({ backend: "cpu" });
  try {
    const opened = await openMetric(metric, weights, device);
    expect("score" in opened && (await opened.score(picture(4, 4)))).toBe(42);
    await writeFileAtomic(join(weights, "trunk.pth"), Uint8Array.of(0));
    await expect(openMetric(metric, weights, device)).rejects.toThrow(
      `first-byte: trunk.pth and head.pth in ${weights} cannot be used: checkpoint: cut off`,
    );
  } finally {
    device.destroy();
  }
});
