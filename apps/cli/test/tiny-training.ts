import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeImage } from "../src/data/image.ts";
import { picture } from "./pictures.ts";

/** Writes pairs for x2, `gt/0.png` and `lq/0.png` and so on. @param sides of the small images */
export async function writePairs(folder: string, sides: readonly number[]): Promise<void> {
  for (const [i, side] of sides.entries()) {
    await writeImage(join(folder, "gt", `${i}.png`), picture(2 * side, 2 * side, i));
    await writeImage(join(folder, "lq", `${i}.png`), picture(side, side, i));
  }
}

/** The `datasets` of a training with those pairs: two squares of 16 pixels a step, unless something else is said. */
export function pairsIn(folder: string, train: Readonly<Record<string, unknown>> = {}) {
  const pairs = { dataroot_gt: join(folder, "gt"), dataroot_lq: join(folder, "lq") };
  return { train: { ...pairs, gt_size: 16, batch_size_per_gpu: 2, ...train } };
}

/** A CLIP that is quick to make and run, as the `model` of an SRCLIP's training. */
export const TINY_CLIP = {
  embed_dim: 16,
  vision_cfg: { image_size: 16, patch_size: 8, width: 16, layers: 2, head_width: 8 },
  text_cfg: { width: 16, heads: 2, layers: 2 },
};

/** Writes `data.tsv` and its images; some of the texts are equal. */
export async function writeCaptioned(folder: string, images: number): Promise<void> {
  const head = ["filepath", "title", ...[2, 3, 4, 5, 6, 7].map((i) => `title${i}`)].join("\t");
  const rows = Array.from({ length: images }, (_, i) => {
    const texts = [
      `a picture of ${["trees", "a house", "water"][i % 3]}`,
      `blur with sigma:${i % 4}.0,jpeg with quality factor:${50 + i}`,
      `blur with sigma:${i % 4}.0`,
      "gaussian noise with sigma:0",
      `poisson noise with scale:${i % 2}.0`,
      `jpeg with quality factor:${50 + i}`,
      "no ringing and overshoot artifacts",
    ];
    return [`${i}.png`, ...texts].join("\t");
  });
  for (let i = 0; i < images; i++) await writeImage(join(folder, `${i}.png`), picture(20, 24, i));
  await writeFile(join(folder, "data.tsv"), `${[head, ...rows].join("\n")}\n`);
}
