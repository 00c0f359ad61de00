import { mul, requireGrad, sum, type Tensor } from "@deplsr/tensor";
import { testDevice } from "@deplsr/tensor/testing";
import { expect, test } from "vitest";
import { backwardOnto } from "../../src/index.ts";

const device = await testDevice();

test("tells of the sums of the parts' gradients, each once, and gives those before them back", async () => {
  const [a, b, c] = [1, 2, 3].map((x) => requireGrad(device.tensor([x, x]))) as [Tensor, Tensor, Tensor];
  const part = (x: Tensor, y: Tensor, factor: number): Tensor => sum(mul(mul(x, y), factor));
  const run = async (tells: boolean) => {
    const known = backwardOnto(new Map(), part(a, b, 10));
    const told: [tensor: Tensor, sum: Tensor][] = [];
    const options = tells ? { onGradient: (...own: [Tensor, Tensor]) => void told.push(own) } : {};
    const sums = backwardOnto(known, part(b, c, 100), options);
    const values = await Promise.all([a, b, c].map(async (x) => [...(await sums.get(x)!.data())]));
    return { known, told, sums, values };
  };
  // By hand: d/da = 10 b, d/db = 10 a + 100 c, d/dc = 100 b.
  const expected = [
    [20, 20],
    [310, 310],
    [200, 200],
  ];
  for (const tells of [false, true]) {
    const { known, told, sums, values } = await run(tells);
    expect(values).toEqual(expected);
    expect([...sums.keys()]).toEqual([a, b, c]);
    expect([known.get(a)!.disposed, known.get(b)!.disposed]).toEqual([false, true]);
    expect(told.every(([tensor, gradient]) => sums.get(tensor) === gradient)).toBe(true);
    // What this part adds nothing to comes last.
    expect(told.map(([tensor]) => tensor)).toEqual(tells ? expect.arrayContaining([a, b, c]) : []);
    if (tells) expect(told.map(([tensor]) => tensor).indexOf(a)).toBe(2);
  }
});
