import { clipConfig } from "@deplsr/clip";
import { type ImagePrompt, SrCLIPV2, srclipConfig } from "@deplsr/srclip";
import { add, Device, type DeviceError, DeviceLostError, mean, mul, Rng, type Tensor } from "@deplsr/tensor";
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

/** An SRCLIP that is the same on every device. */
function seer(device: Device): SrCLIPV2 {
  const clip = clipConfig({
    embedDim: 24,
    vision: { imageSize: 16, patchSize: 8, width: 32, layers: 2, headWidth: 16 },
    text: { contextLength: 8, vocabSize: 60, width: 16, heads: 2, layers: 1 },
  });
  return new SrCLIPV2(srclipConfig(clip, { loss: "clip", fineDegradations: 5 }), { device, rng: new Rng(3) });
}

/** One value of all that a prompt says. */
function tintOf({ content, degradation }: ImagePrompt): Tensor {
  return mul(add(mean(content), mean(degradation)), 2);
}

/** Bytes on a device but for the tables that `interpolate` keeps there. */
function held(device: Device): number {
  // The profile is of the highest moment since the call before.
  device.memory({ profile: true });
  const { profile } = device.memory({ profile: true });
  return profile.reduce((sum, { op, bytes }) => sum + (op.startsWith("resample ") ? 0 : bytes), 0);
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

  test("is replaced together with the prompt, which is made there again", async () => {
    const [first, second, alone] = await Promise.all(
      Array.from({ length: 3 }, () => Device.request({ backend: "cpu" })),
    );
    let passes = 0;
    const prompted = (srclip: SrCLIPV2, before: () => void = () => {}): EnlargingNetwork => ({
      ...smoothing(2),
      promptDim: srclip.config.clip.embedDim,
      forward: (x, prompt) => {
        before();
        expect(prompt?.content.device).toBe(x.device);
        return add(smoothing(2).forward(x, null), tintOf(prompt!));
      },
    });
    const seeing = (device: Device) => ({ device, srclip: seer(device), prompt: PROMPT });
    const options = { ...OPTIONS, colour: "free" } as const;
    const there = seeing(alone!);
    const wanted = await new Restorer(alone!, { ...there, network: prompted(there.srclip) }).restore(image, options);
    expect(wanted).not.toEqual(await expected(options));
    const [one, two] = [seeing(first!), seeing(second!)];
    const before = held(second!);
    const restorer = new Restorer(first!, {
      ...one,
      network: prompted(one.srclip, () => void (++passes === 3 && first!.destroy())),
      replace: async () => ({ ...two, network: prompted(two.srclip) }),
    });
    expect(await restorer.restore(image, options)).toEqual(wanted);
    expect(restorer.srclip).toBe(two.srclip);
    expect(held(second!)).toBe(before);
    for (const device of [second!, alone!]) device.destroy();
  });

  test("is replaced, and an abort still ends the work before the next tile", async () => {
    const [first, second] = [await Device.request({ backend: "cpu" }), await Device.request({ backend: "cpu" })];
    const stop = new AbortController();
    const seen: number[] = [];
    const restorer = new Restorer(first, {
      network: told(smoothing(2), (_, pass) => void (pass === 3 && first.destroy())),
      replace: async () => ({ device: second, network: smoothing(2), srclip: null, prompt: PROMPT }),
    });
    const work = restorer.restore(image, {
      ...OPTIONS,
      colour: "free",
      signal: stop.signal,
      onProgress: (done) => {
        seen.push(done);
        if (done === 4) stop.abort(new Error("enough"));
      },
    });
    await expect(work).rejects.toThrow("enough");
    expect(seen).toEqual([1, 2, 3, 4]);
    expect(held(second)).toBe(0);
    second.destroy();
  });

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

  test.each([100_000, 300_000])(
    "not even for the one that is measured makes it in smaller ones, with %i bytes",
    async (memoryLimit) => {
      const device = await Device.request({ backend: "cpu", memoryLimit });
      const large = await Device.request({ backend: "cpu" });
      const restorer = new Restorer(device, { network: smoothing(2) });
      expect(await restorer.tileWithin(2 ** 28)).toBe(64);
      const result = await restorer.restore(picture(128, 128), { overlap: 8 });
      const { liveBytes } = device.memory();
      expect(await restorer.restore(picture(128, 128), { overlap: 8 })).toEqual(result);
      const whole = { tile: 128, overlap: 8 };
      const wanted = await new Restorer(large, { network: smoothing(2) }).restore(picture(128, 128), whole);
      expect(apart(result, wanted)).toBeLessThanOrEqual(1);
      expect(device.memory().liveBytes).toBe(liveBytes);
      device.destroy();
      large.destroy();
    },
  );

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

describe("what takes over", () => {
  const dying = (device: Device): EnlargingNetwork => told(smoothing(2), () => device.destroy());

  test("has to be steered by its SRCLIP", async () => {
    const [first, second] = [await Device.request({ backend: "cpu" }), await Device.request({ backend: "cpu" })];
    const restorer = new Restorer(first, {
      network: dying(first),
      replace: async () => ({ device: second, network: smoothing(2), srclip: seer(second), prompt: PROMPT }),
    });
    await expect(restorer.restore(image, OPTIONS)).rejects.toThrow(
      "restore: the SRCLIP has 24 features, the network takes none",
    );
    second.destroy();
  });

  test("is not asked for without end where each device fails", async () => {
    const first = await Device.request({ backend: "cpu" });
    let asked = 0;
    const restorer = new Restorer(first, {
      network: dying(first),
      replace: async () => {
        asked += 1;
        const device = await Device.request({ backend: "cpu" });
        return { device, network: dying(device), srclip: null, prompt: PROMPT };
      },
    });
    await expect(restorer.restore(image, OPTIONS)).rejects.toThrow("destroyed");
    expect(asked).toBe(7);
  });
});
