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
