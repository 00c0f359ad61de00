import { backward, detach, mul, requireGrad, sum, type Tensor } from "@deplsr/tensor";
import { describe, expect, test } from "vitest";
import { inHalves } from "../../src/train/update.ts";
import { useDevice } from "../device.ts";

describe("inHalves", () => {
  const device = useDevice();

  test.each([false, true])("gives the gradients, and everything else back; marked: %s", async (marked) => {
    const weight = requireGrad(device().tensor([1, 2, 3]));
    const x = device().tensor([4, 5, 6]);
    const { liveBuffers } = device().memory();
    const marks: string[] = [];
    const mark = marked ? async (part: string) => void marks.push(part) : null;
    // Σ (w x)², whose gradient is 2 w x².
    const forward = (): { loss: Tensor; none: null } => {
      const product = mul(weight, x);
      return { loss: sum(mul(product, product)), none: null };
    };
    const { seen, gradient } = await inHalves(mark, forward, ({ loss }) => ({
      seen: detach(loss),
      gradient: backward(loss).get(weight)!,
    }));
    expect(await seen.item()).toBe(16 + 100 + 324);
    expect([...(await gradient.data())]).toEqual([32, 100, 216]);
    expect(marks).toEqual(marked ? ["forward", "backward"] : []);
    for (const tensor of [seen, gradient]) tensor.dispose();
    expect(device().memory().liveBuffers).toBe(liveBuffers);
    for (const tensor of [weight, x]) tensor.dispose();
  });
});
