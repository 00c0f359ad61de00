/** The degraded squares are made again, byte by byte, out of the test sets beside the repository. */
import { fileURLToPath } from "node:url";
import { Device } from "@deplsr/tensor";
import { afterAll, beforeAll, expect, it } from "vitest";
import { crop } from "../../../apps/cli/src/data/crop.ts";
import { readImage } from "../../../apps/cli/src/data/image.ts";
import { degradedSquares, degradeSquare, sha256Of } from "../../src/results/degraded.ts";

let device: Device;

beforeAll(async () => {
  device = await Device.request({ backend: "cpu" });
});
afterAll(() => device.destroy());

// Three of each kind and scale; the run of the results looks at all of them.
const chosen = degradedSquares().filter((_, i) => i % 8 === 3);

it.each(chosen.map((square) => [`${square.image}, ${square.kind}, x${square.draw.scale}`, square] as const))(
  "makes %s as it was",
  async (_, { image, left, top, side, draw, sha256 }) => {
    const photograph = await readImage(fileURLToPath(new URL(`../../../../shared/data/${image}`, import.meta.url)));
    const original = crop(photograph, { left, top, width: side, height: side });
    const lq = await degradeSquare(device, original, draw);
    expect([lq.width, lq.height]).toEqual([side / draw.scale, side / draw.scale]);
    expect(sha256Of(lq)).toBe(sha256);
  },
);
