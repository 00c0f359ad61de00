import { join } from "node:path";
import sharp from "sharp";
import type { UpscaleFlags } from "../../src/upscale/flags.ts";
import { runUpscale } from "../../src/upscale/run.ts";
import { picture } from "../pictures.ts";
import { alone, recordedOutput } from "../recorded-output.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { writeNearestNetwork } from "../tiny-network.ts";

/** Of the photos that `photoIn` writes. */
export const [WIDTH, HEIGHT] = [21, 14];

/** Writes the nearest-neighbour network of `test/tiny-network.ts` for one test. → its path */
export async function writeNetwork(): Promise<string> {
  const path = join(temporaryFolder(), "nearest.safetensors");
  await writeNearestNetwork(path);
  return path;
}

/** Runs the command in this process. → what it printed, and its exit code where it ended well */
export async function upscale(
  flags: Pick<UpscaleFlags, "images" | "out"> & Partial<UpscaleFlags>,
): Promise<{ lines: string; warnings: string; code: number }> {
  const { output, stdout, stderr } = recordedOutput();
  const model = flags.model ?? (await writeNetwork());
  const defaults: UpscaleFlags = {
    ...{ images: [], out: "", model, key: undefined, assume: [], srclip: undefined, "allow-missing": false },
    ...{ "clip-input": undefined, "clip-fit": undefined, recursive: false, format: undefined, quality: undefined },
    ...{ suffix: "_x{scale}", strip: false, overwrite: false, scale: undefined, width: undefined, height: undefined },
    ...{ strength: 1, colour: undefined, ensemble: false, tile: "auto", blend: "cosine" },
    ...{ backend: "cpu", adapter: undefined },
  };
  await runUpscale({ ...defaults, ...flags }, alone(output));
  const code = Number(process.exitCode ?? 0);
  process.exitCode = undefined;
  return { lines: stdout(), warnings: stderr(), code };
}

/** Writes a photo. → its path */
export async function photoIn(folder: string, name: string, channels: 3 | 4 = 3): Promise<string> {
  const { data } = picture((WIDTH * channels) / 3, HEIGHT);
  const path = join(folder, name);
  await sharp(data, { raw: { width: WIDTH, height: HEIGHT, channels } }).toFile(path);
  return path;
}
