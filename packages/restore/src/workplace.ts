/** Where images are restored, and what is done where that fails. */
import type { SrCLIPV2 } from "@deplsr/srclip";
import { type Device, DeviceError } from "@deplsr/tensor";
import type { EnlargingNetwork } from "./network.ts";
import type { PromptOptions } from "./prompt.ts";

/** A device, and the networks on it. */
export interface Workplace {
  readonly device: Device;
  readonly network: EnlargingNetwork;
  readonly srclip: SrCLIPV2 | null;
  readonly prompt: PromptOptions;
}

/**
 * Asked for another device, with the same networks on it, where one was lost or has no memory for even a small tile; null: there is none, and the
 * work ends with the error.
 *
 * @param failed the one that failed; it may be destroyed
 */
export type Replace = (error: DeviceError, failed: Device) => Promise<Workplace | null>;

/** The workplace of a restorer: the first one, then those that took over. */
export class LastingWorkplace {
  current: Workplace;
  readonly #replace: Replace | null;

  constructor(first: Workplace, replace: Replace | null) {
    this.current = first;
    this.#replace = replace;
  }

  /** Puts another one in the place of one that failed. @throws the error itself where that is not the device's, or there is no other */
  async moveOn(failed: Workplace, error: unknown): Promise<void> {
    const failure = error instanceof DeviceError ? error : await failureOf(failed.device);
    if (failure === null) throw error;
    // Somebody else's work may have failed there first.
    if (this.current !== failed) return;
    const next = (await this.#replace?.(failure, failed.device)) ?? null;
    if (next === null) throw failure;
    const [is, was] = [next.network, failed.network];
    if (is.scale !== was.scale)
      throw new RangeError(`restore: the network that takes over enlarges by ${is.scale}, not ${was.scale}`);
    checkSteering(next);
    this.current = next;
  }
}

/** @throws RangeError when the network cannot be steered by this SRCLIP */
export function checkSteering({ network, srclip }: Pick<Workplace, "network" | "srclip">): void {
  if (!srclip || srclip.config.clip.embedDim === network.promptDim) return;
  throw new RangeError(
    `restore: the SRCLIP has ${srclip.config.clip.embedDim} features, the network takes ${network.promptDim ?? "none"}`,
  );
}

/** Whether a device is of use after this error: it had no memory for what was asked, and may have for less. */
export async function hadNoRoom({ device }: Workplace, error: unknown): Promise<boolean> {
  return error instanceof DeviceError && (await failureOf(device)) === null;
}

/** Why a device is of no use any more; null where it is of use. */
async function failureOf(device: Device): Promise<DeviceError | null> {
  try {
    await device.sync();
    return null;
  } catch (error) {
    return error instanceof DeviceError ? error : null;
  }
}
