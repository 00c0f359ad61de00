import { Device } from "@deplsr/tensor";
import { afterAll, beforeAll } from "vitest";

/** One device for all tests of a file. */
export function useDevice(): () => Device {
  let device: Device | undefined;
  beforeAll(async () => {
    device = await Device.request();
  });
  afterAll(() => device?.destroy());
  return () => {
    if (!device) throw new Error("the device is there once the tests run");
    return device;
  };
}
