/** Opening the device that computes. */
import { Device } from "@deplsr/tensor";
import type { Context, DeviceFlags } from "./commands/command.ts";
import { oneLine, UserError } from "./errors.ts";

/**
 * Opens the device that the flags ask for (or else `DEPLSR_BACKEND` and `DEPLSR_ADAPTER`), says which one it is, and gives it back when
 * `work` is done.
 *
 * @throws UserError with instructions when there is none
 */
export async function withDevice<T>(
  flags: DeviceFlags,
  { output }: Context,
  work: (device: Device) => Promise<T>,
): Promise<T> {
  const device = await openDevice(flags);
  output.line(`adapter: ${device.info.adapter} (${device.info.backend}; ${device.info.reason})`);
  try {
    return await work(device);
  } finally {
    device.destroy();
  }
}

/** Opens that device. @throws UserError with instructions when there is none */
export async function openDevice({ backend, adapter }: DeviceFlags): Promise<Device> {
  try {
    return await Device.request({ ...(backend ? { backend } : {}), ...(adapter ? { adapter } : {}) });
  } catch (error) {
    throw new UserError(`device: ${oneLine(error)}; \`deplsr doctor\` tells more`);
  }
}
