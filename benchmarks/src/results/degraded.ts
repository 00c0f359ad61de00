/**
 * The degraded test squares: which square of which photograph, and everything that was drawn for it. The file names photographs and holds none of their
 * pixels; `draw-degraded.ts` wrote it. What it draws is stored with the square, so that the same images are made when drawing changes.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { degradeMixture, type MixtureDraw } from "@deplsr/degradation";
import { type Device, noGrad, scope } from "@deplsr/tensor";
import { fromPlanes, toPlanes } from "../../../apps/cli/src/data/crop.ts";
import type { Image } from "../../../apps/cli/src/data/image.ts";

/** A square of a photograph and how it is degraded; plain JSON. */
export interface DegradedSquare {
  readonly kind: "light" | "heavy";
  /** Below the folder of test sets. */
  readonly image: string;
  readonly left: number;
  readonly top: number;
  readonly side: number;
  readonly draw: MixtureDraw;
  /** Of the low-quality image's bytes, row by row, red first, as the CPU backend makes it. */
  readonly sha256: string;
}

/** One square a line. */
export const DEGRADED_FILE = new URL("./degraded.jsonl", import.meta.url);

/** All squares of the file. */
export function degradedSquares(): DegradedSquare[] {
  const lines = readFileSync(DEGRADED_FILE, "utf8").trimEnd().split("\n");
  // What draw-degraded.ts wrote.
  return lines.map((line) => JSON.parse(line) as DegradedSquare);
}

/** The low-quality image of a square. */
export async function degradeSquare(device: Device, original: Image, draw: MixtureDraw): Promise<Image> {
  const { width, height } = original;
  const planes = toPlanes([original]);
  using lq = noGrad(() => scope(() => degradeMixture(device.tensor(planes, [1, 3, height, width]), [draw]).lq));
  return fromPlanes(await lq.data(), width / draw.scale, height / draw.scale)[0]!;
}

/** Of an image's pixels, as hexadecimal digits. */
export function sha256Of({ data }: Image): string {
  return createHash("sha256").update(data).digest("hex");
}
