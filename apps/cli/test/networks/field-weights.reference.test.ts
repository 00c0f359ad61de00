/** Files of weights as people have them, beside the repository in `shared/field`. */
import { describe, expect, test } from "vitest";
import { runInspect } from "../../src/inspect/run.ts";
import { loadSrFile } from "../../src/networks/sr.ts";
import { useDevice } from "../device.ts";
import { golden } from "../golden.ts";
import { recordedOutput } from "../recorded-output.ts";

const field = (name: string): string => golden(`../field/weights/${name}`);

describe("weights", () => {
  const device = useDevice();

  test.each([
    ["dat_orig_mod_prefix.pth", "of a compiled network"],
    ["dat_argparse_namespace.pth", "beside the arguments of a program"],
    ["dat_no_num_batches_tracked.safetensors", "without counters of batch normalisation"],
  ])("%s, %s, are loaded whole", async (name) => {
    const { output, stdout } = recordedOutput(true);
    await runInspect({ file: field(name), key: undefined }, { output });
    expect(JSON.parse(stdout())).toMatchObject({ model: "DAT", parameters: 37_337, config: { upscale: 2 } });
    const { network, report } = await loadSrFile(device(), field(name));
    expect(report).toMatchObject({ missing: [], unexpected: [], mismatched: [], unreadable: [] });
    expect(report.loaded).toContain("layers.0.blocks.0.attn.qkv.weight");
    const large = network.forward(device().full([1, 3, 8, 8], 0.5), null);
    expect(large.shape).toEqual([1, 3, 16, 16]);
    for (const value of await large.data()) expect(Number.isFinite(value)).toBe(true);
    network.module.dispose();
  });

  test("that make nearest neighbours of pixels do so", async () => {
    const { network } = await loadSrFile(device(), field("dat_nearest_x2_probe.pth"));
    const pixels = Float32Array.from({ length: 3 * 64 }, (_, i) => ((i * 37) % 101) / 100);
    const values = await network.forward(device().tensor(pixels, [1, 3, 8, 8]), null).data();
    for (let i = 0; i < values.length; i++) {
      const [channel, row, column] = [Math.floor(i / 256), Math.floor((i % 256) / 16), i % 16];
      expect(values[i]).toBeCloseTo(pixels[channel * 64 + (row >> 1) * 8 + (column >> 1)]!, 5);
    }
    network.module.dispose();
  });

  test("that are not finite are named", async () => {
    const path = field("dat_nan_weights.pth");
    await expect(loadSrFile(device(), path)).rejects.toThrow(
      `checkpoint: ${path}: 1 tensor holds values that are no numbers: layers.0.blocks.0.norm1.weight`,
    );
  });
});
