import { DAT, DAT_LIGHT_X4 } from "@deplsr/dat";
import { Device, Rng } from "@deplsr/tensor";
import { afterAll, describe, expect, test } from "vitest";
import type { RasterImage } from "../src/image.ts";
import { type EnlargingNetwork, enlarging } from "../src/network.ts";
import { type RestoreOptions, Restorer } from "../src/restorer.ts";
import { picture, smoothing } from "./pictures.ts";

// Tiles are 40, 48, 48 and 38 pixels long, in both directions.
const image = picture(126, 126);
const OPTIONS: RestoreOptions = { tile: 32, overlap: 8, colour: "free" };
const opened: Device[] = [];
afterAll(() => {
  for (const device of opened) device.destroy();
});

async function webgpu(memoryLimit?: number): Promise<Device> {
  const device = await Device.request({ backend: "webgpu", ...(memoryLimit ? { memoryLimit } : {}) });
  opened.push(device);
  return device;
}

/** Restores with a network whose passes in JavaScript are counted. */
async function restored(
  device: Device,
  network: EnlargingNetwork,
  captureInSoftware: boolean,
  options = OPTIONS,
): Promise<{ readonly result: RasterImage; readonly passes: string[]; readonly after: number }> {
  const passes: string[] = [];
  const forward: EnlargingNetwork["forward"] = (x, prompt) => {
    passes.push(x.shape.slice(2).join("x"));
    return network.forward(x, prompt);
  };
  const restorer = new Restorer(device, { network: { ...network, forward }, captureInSoftware });
  const result = await restorer.restore(image, options);
  return { result, passes, after: device.memory().liveBytes };
}

describe("tiles of the size that most have, on WebGPU", () => {
  const dat = (device: Device): EnlargingNetwork => {
    const config = { ...DAT_LIGHT_X4, upscale: 2, embedDim: 24, depth: [1], splitSize: [8, 8] as const };
    return enlarging(new DAT(config, { device, rng: new Rng(1) }));
  };
  const networks: Readonly<Record<string, (device: Device) => EnlargingNetwork>> = {
    "a DAT": dat,
    "a network that says that it is steady": () => ({ ...smoothing(2), steady: true }),
  };

  test.each(Object.entries(networks))("%s runs them recorded, to the same bits", async (name, make) => {
    const device = await webgpu();
    const network = make(device);
    // Eight times as many passes of a DAT would show no more.
    for (const ensemble of name === "a DAT" ? [false] : [false, true]) {
      const plain = await restored(device, { ...network, steady: false }, true, { ...OPTIONS, ensemble });
      const captured = await restored(device, network, true, { ...OPTIONS, ensemble });
      expect(captured.result).toEqual(plain.result);
      // Of the four tiles of 48x48 the second one is recorded.
      expect(plain.passes.length - captured.passes.length).toBe(ensemble ? 2 * 8 : 2);
      expect(captured.after).toBe(plain.after);
    }
  });

  test("any other network runs as it is", async () => {
    const { passes } = await restored(await webgpu(), smoothing(2), true);
    expect(passes).toHaveLength(16);
  });

  test("what is recorded makes room where memory ends", async () => {
    const network = { ...smoothing(2), steady: true };
    const free = await webgpu();
    const plain = await restored(free, smoothing(2), true);
    const { peakLiveBytes } = free.memory();
    const { result, passes } = await restored(await webgpu(peakLiveBytes), network, true);
    expect(result).toEqual(plain.result);
    // Nothing was made in parts, and what was recorded was given up once.
    expect(new Set(passes)).toEqual(new Set(plain.passes));
    expect(passes.length).toBeGreaterThan(14);
  });
});
