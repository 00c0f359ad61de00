import { expect, it } from "vitest";
import * as T from "../../src/index.ts";
import { testDevice } from "../../src/testing.ts";

const backend = (await testDevice()).info.backend as "cpu" | "webgpu";

it("a destroyed device refuses ops, reads and syncs, and says that it was destroyed", async () => {
  const device = await T.Device.request({ backend });
  const x = device.ones([4]);
  const before = x.data();
  expect([...(await before)]).toEqual([1, 1, 1, 1]);
  device.destroy();
  device.destroy();
  expect(() => device.ones([4])).toThrow(/was destroyed$/);
  await expect(x.data()).rejects.toThrow(/was destroyed$/);
  await expect(device.sync()).rejects.toThrow(/was destroyed$/);
  expect(() => x.dispose()).not.toThrow();
});
