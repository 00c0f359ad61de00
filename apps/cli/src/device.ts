/** Opening the device that computes. */
import { Device } from "@deplsr/tensor";
import { oneLine, UserError } from "./errors.ts";

/** Which device is wanted; what is left out follows the environment (`DEPLSR_BACKEND`, `DEPLSR_ADAPTER`). */
export interface DeviceChoice {
  readonly backend?: "auto" | "webgpu" | "cpu" | undefined;
  readonly adapter?: "auto" | "hardware" | "system" | "swiftshader" | undefined;
}

/** Opens a device. @throws UserError with instructions when there is none */
export async function openDevice({ backend, adapter }: DeviceChoice = {}): Promise<Device> {
  try {
    return await Device.request({ ...(backend ? { backend } : {}), ...(adapter ? { adapter } : {}) });
  } catch (error) {
    throw new UserError(`device: ${oneLine(error)}; \`deplsr doctor\` tells more`);
  }
}
