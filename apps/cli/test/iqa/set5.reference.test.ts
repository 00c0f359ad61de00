import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { imresize } from "@deplsr/degradation";
import { psnr, ssim } from "@deplsr/metrics";
import { Device } from "@deplsr/tensor";
import { expect, test } from "vitest";
import { toPlanes } from "../../src/data/crop.ts";
import { readImage } from "../../src/data/image.ts";

const DATA = fileURLToPath(new URL("../../../../../shared/data/", import.meta.url));

/** The table of Set5 enlarged by MATLAB's bicubic interpolation, as papers print it: PSNR and SSIM of luma, a border of the scale left out. */
test("bicubic interpolation of Set5 scores what is published", async () => {
  const device = await Device.request();
  const rows = readFileSync(`${DATA}bicubic_baseline.csv`, "utf8").trim().split("\n").slice(1);
  const wanted = rows.map((row) => row.split(",")).filter(([set, scale]) => set === "set5" && scale === "4");
  expect(wanted).toHaveLength(5);
  for (const [, , name, luma, similarity] of wanted) {
    const original = await readImage(`${DATA}set5/HR/${name}.png`);
    const small = await readImage(`${DATA}set5/LR_bicubic/X4/${name}x4.png`);
    const planes = device.tensor(toPlanes([small]), [1, 3, small.height, small.width]);
    const enlarged = imresize(planes, 4, { form: "uint8" });
    const [, , height, width] = enlarged.shape as [number, number, number, number];
    const values = await enlarged.data();
    const data = Uint8Array.from({ length: 3 * height * width }, (_, i) =>
      Math.round(255 * values[(i % 3) * height * width + Math.floor(i / 3)]!),
    );
    const image = { width, height, data };
    const reference = { width, height, data: croppedTo(original, width, height) };
    expect(psnr(image, reference, { channels: "y", cropBorder: 4 })).toBeCloseTo(Number(luma), 3);
    expect(ssim(image, reference, { channels: "y", cropBorder: 4 })).toBeCloseTo(Number(similarity), 4);
  }
});

/** The upper left part of an image. */
function croppedTo(image: { width: number; data: Uint8Array }, width: number, height: number): Uint8Array {
  return Uint8Array.from({ length: 3 * width * height }, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / (3 * width))];
    return image.data[(y * image.width + x) * 3 + (i % 3)]!;
  });
}
