import { Device, type DeviceError, DeviceLostError, type Tensor } from "@deplsr/tensor";
import { describe, expect, test } from "vitest";
import type { EnlargingNetwork } from "../src/network.ts";
import { type RestoreOptions, Restorer } from "../src/restorer.ts";
import { apart, picture, smoothing } from "./pictures.ts";

const PROMPT = { clipInput: "raw", clipFit: "squash" } as const;
const OPTIONS: RestoreOptions = { tile: 32, overlap: 8 };
const image = picture(70, 45);

/** A network that is told of each pass, and counts those over tiles. */
function told(network: EnlargingNetwork, before: (tile: Tensor, pass: number) => void): EnlargingNetwork {
  let passes = 0;
  return {
    ...network,
    forward: (x, prompt) => {
      before(x, ++passes);
      return network.forward(x, prompt);
    },
  };
}

async function expected(options: RestoreOptions = OPTIONS) {
  const device = await Device.request({ backend: "cpu" });
  try {
    return await new Restorer(device, { network: smoothing(2) }).restore(image, options);
  } finally {
    device.destroy();
  }
}

describe("a device that is destroyed in the middle", () => {
  test.each(["while colours are measured", "at the third tile"])(
    "%s is replaced, and no tile is made twice",
    async (when) => {
      const [first, second] = [await Device.request({ backend: "cpu" }), await Device.request({ backend: "cpu" })];
      const passes: number[] = [0, 0];
      const count = (which: number) => (x: Tensor) => {
        if (x.shape[3] !== 16) passes[which]! += 1;
      };
      const dying = told(smoothing(2), (x, pass) => {
        count(0)(x);
        if (when === "at the third tile" ? passes[0] === 3 : pass === 4) first.destroy();
      });
      const failures: DeviceError[] = [];
      const restorer = new Restorer(first, {
        network: dying,
        replace: async (error, failed) => {
          failures.push(error);
          expect(failed).toBe(first);
          return { device: second, network: told(smoothing(2), count(1)), srclip: null, prompt: PROMPT };
        },
      });
      const seen: number[] = [];
      const result = await restorer.restore(image, { ...OPTIONS, onProgress: (done) => void seen.push(done) });
      expect(result).toEqual(await expected());
      expect(failures.map(String)).toEqual([expect.stringContaining("destroyed")]);
      expect(seen).toEqual([1, 2, 3, 4, 5, 6]);
      expect(passes).toEqual(when === "at the third tile" ? [3, 4] : [0, 6]);
      expect(restorer.device).toBe(second);
      second.destroy();
    },
  );

  test("ends the work with its error where there is no other", async () => {
    for (const replace of [undefined, async () => null]) {
      const device = await Device.request({ backend: "cpu" });
      const network = told(smoothing(2), (_, pass) => void (pass === 12 && device.destroy()));
      const restorer = new Restorer(device, { network, ...(replace ? { replace } : {}) });
      await expect(restorer.restore(image, OPTIONS)).rejects.toThrow("destroyed");
    }
  });

  test("is not replaced for an error that is none of a device", async () => {
    const device = await Device.request({ backend: "cpu" });
    const network = told(smoothing(2), () => {
      throw new RangeError("not today");
    });
    const replace = async (): Promise<never> => {
      throw new Error("internal: asked for nothing");
    };
    await expect(new Restorer(device, { network, replace }).restore(image, OPTIONS)).rejects.toThrow("not today");
    device.destroy();
  });

  test("may be replaced several times, each time with a loss", async () => {
    const devices = await Promise.all(Array.from({ length: 3 }, () => Device.request({ backend: "cpu" })));
    let next = 0;
    const place = () => {
      const device = devices[next++]!;
      const last = next === devices.length;
      const network = told(smoothing(2), (_, pass) => void (!last && pass === 2 && device.destroy()));
      return { device, network, srclip: null, prompt: PROMPT };
    };
    const { device, network } = place();
    const restorer = new Restorer(device, { network, replace: async () => place() });
    expect(await restorer.restore(image, { ...OPTIONS, colour: "free" })).toEqual(
      await expected({ ...OPTIONS, colour: "free" }),
    );
    expect(next).toBe(3);
    for (const one of devices) one.destroy();
  });
});

describe("a device without memory for a tile", () => {
  test("makes it in smaller ones, and those after it too", async () => {
    const device = await Device.request({ backend: "cpu", memoryLimit: 700_000 });
    const sides: string[] = [];
    const network = told(smoothing(2), ({ shape }) => void sides.push(`${shape[2]}x${shape[3]}`));
    const whole = { tile: 128, overlap: 8, colour: "free" } as const;
    const result = await new Restorer(device, { network }).restore(picture(128, 128), whole);
    const large = await Device.request({ backend: "cpu" });
    expect(
      apart(result, await new Restorer(large, { network: smoothing(2) }).restore(picture(128, 128), whole)),
    ).toBeLessThanOrEqual(1);
    expect(sides[0]).toBe("128x128");
    expect(sides.length).toBeGreaterThan(2);
    device.destroy();
    large.destroy();
  });

  test("that is too small for the smallest is replaced", async () => {
    const small = await Device.request({ backend: "cpu", memoryLimit: 2000 });
    const large = await Device.request({ backend: "cpu" });
    const failures: DeviceError[] = [];
    const restorer = new Restorer(small, {
      network: smoothing(2),
      replace: async (error) => {
        failures.push(error);
        return { device: large, network: smoothing(2), srclip: null, prompt: PROMPT };
      },
    });
    const result = await restorer.restore(image, { ...OPTIONS, colour: "free" });
    expect(result).toEqual(await expected({ ...OPTIONS, colour: "free" }));
    expect(failures).toHaveLength(1);
    expect(failures[0]).not.toBeInstanceOf(DeviceLostError);
    small.destroy();
    large.destroy();
  });
});

test("tiles are shown as they come: together they are the image, as the network makes it", async () => {
  const device = await Device.request({ backend: "cpu" });
  const shown = new Uint8Array(140 * 90 * 3);
  const seen: number[] = [];
  const result = await new Restorer(device, { network: smoothing(2) }).restore(image, {
    ...OPTIONS,
    colour: "free",
    onTile: ({ left, top, width, height, scale, data }) => {
      seen.push(width * height);
      for (let y = 0; y < height * scale; y++) {
        const row = data.subarray(y * width * scale * 3, (y + 1) * width * scale * 3);
        shown.set(row, ((top * scale + y) * 140 + left * scale) * 3);
      }
    },
  });
  expect(seen.reduce((a, b) => a + b)).toBe(70 * 45);
  expect(apart({ width: 140, height: 90, data: shown }, result)).toBeLessThanOrEqual(1);
  device.destroy();
});
