import { add, Device, mul, repeat, type Tensor } from "@deplsr/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { selfEnsemble } from "../src/self-ensemble.ts";
import { upscaleTiles, upscaleTilesToHost } from "../src/tiling.ts";

const device = await Device.request();
afterAll(() => device.destroy());

function ramp(shape: readonly number[]): Tensor {
  const size = shape.reduce((product, length) => product * length, 1);
  return device.tensor(
    Float32Array.from({ length: size }, (_, i) => i),
    shape,
  );
}

/** Every pixel becomes four. */
function doubled(x: Tensor): Tensor {
  const [b, c, h, w] = x.shape as [number, number, number, number];
  return repeat(x.reshape([b, c, h, 1, w, 1]), [1, 1, 1, 2, 1, 2]).reshape([b, c, 2 * h, 2 * w]);
}

describe("upscaleTiles", () => {
  it("gives what the whole image gives, where the surroundings do not matter", async () => {
    const x = ramp([2, 3, 11, 7]);
    const whole = await doubled(x).data();
    const sizes: string[] = [];
    const forward = (tile: Tensor): Tensor => {
      sizes.push(tile.shape.slice(2).join("x"));
      return doubled(tile);
    };
    const options = { scale: 2, tile: 4, overlap: 2 };
    const tiled = upscaleTiles(x, forward, options);
    expect(tiled.shape).toEqual([2, 3, 22, 14]);
    expect(await tiled.data()).toEqual(whole);
    // 3 x 2 tiles of 4 x 4, mirrored to 12 x 8.
    expect(sizes).toEqual(["6x6", "6x6", "8x6", "8x6", "6x6", "6x6"]);

    const told: string[] = [];
    const host = await upscaleTilesToHost(x, forward, options, (done, total) => told.push(`${done}/${total}`));
    expect(host.shape).toEqual([2, 3, 22, 14]);
    expect(host.data).toEqual(whole);
    expect(told).toEqual(["1/6", "2/6", "3/6", "4/6", "5/6", "6/6"]);
  });

  it("mirrors the last rows and columns, edge included", async () => {
    const x = ramp([1, 1, 3, 5]); // padded to 4 x 6
    const seen: Promise<ArrayLike<number>>[] = [];
    const forward = (tile: Tensor): Tensor => {
      seen.push(tile.data());
      return tile;
    };
    upscaleTiles(x, forward, { scale: 1, tile: 2, overlap: 0 });
    const last = (await Promise.all(seen)).at(-1)!;
    expect(seen).toHaveLength(6);
    expect([...Array.from(last)]).toEqual([14, 14, 14, 14]);
  });

  it("runs a small image whole", async () => {
    const x = ramp([1, 3, 6, 5]);
    let runs = 0;
    const y = upscaleTiles(
      x,
      (tile) => {
        runs++;
        expect(tile.shape).toEqual([1, 3, 6, 5]);
        return doubled(tile);
      },
      { scale: 2 },
    );
    expect(runs).toBe(1);
    expect(await y.data()).toEqual(await doubled(x).data());
  });

  it("keeps nothing but the result", async () => {
    const x = ramp([1, 1, 9, 9]);
    await x.data();
    const before = device.memory().liveBuffers;
    const options = { scale: 2, tile: 4, overlap: 1 };
    const y = upscaleTiles(x, doubled, options);
    expect(device.memory().liveBuffers).toBe(before + 1);
    y.dispose();
    await upscaleTilesToHost(x, doubled, options);
    // Fewer are no leak: while this waits, the collector may give back what another test left.
    expect(device.memory().liveBuffers).toBeLessThanOrEqual(before);
  });
});

describe("selfEnsemble", () => {
  it("changes nothing where the order of pixels does not matter", async () => {
    const x = ramp([2, 1, 3, 4]);
    const y = selfEnsemble(x, (image) => mul(doubled(image), 2));
    expect(await y.data()).toEqual(await mul(doubled(x), 2).data());
  });

  it("averages the eight turned results", async () => {
    const x = device.tensor([1, 2, 3, 4], [1, 1, 2, 2]);
    // Adds its position to each pixel: every pixel stands at each of the four places twice.
    const positions = device.tensor([0, 10, 20, 30], [1, 1, 2, 2]);
    const y = selfEnsemble(x, (image) => add(image, positions));
    expect([...(await y.data())]).toEqual([16, 17, 18, 19]);
    const shapes = new Set<string>();
    const wide = selfEnsemble(ramp([1, 1, 1, 3]), (image) => {
      shapes.add(image.shape.join("x"));
      return image;
    });
    expect([...(await wide.data())]).toEqual([0, 1, 2]);
    expect([...shapes]).toEqual(["1x1x1x3", "1x1x3x1"]);
  });
});
