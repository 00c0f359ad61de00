/** A training that outlives its device. */
import type { ProcessGroup } from "@deplsr/distributed";
import { type Device, DeviceLostError } from "@deplsr/tensor";
import type { Context, DeviceFlags } from "../commands/command.ts";
import { withDevice } from "../device.ts";
import { oneLine } from "../errors.ts";
import { latestIn } from "./plan.ts";

/** So many devices in a row may be lost without a checkpoint in between. */
const MOST_LOST = 3;

/** Where a training begins, or goes on. */
export interface Beginning {
  /** The checkpoint to go on from; null for none. */
  readonly from: string | null;
  /** Whether the run that stands in the folder is gone on with. */
  readonly resume: boolean;
  readonly overwrite: boolean;
  /** To be called when the run folder is open: what stands there from then on is of this training. */
  readonly onOpen: () => void;
}

/**
 * Trains on a device, and where that is lost, as a graphics card is when its driver starts again, on a new one from the run's last checkpoint on. What was lost is said in one warning, which
 * the run's log has too.
 *
 * @param folder of the run
 * @throws the error of a device that is lost for the third time without a checkpoint in between; what `train` throws otherwise
 */
export async function onLastingDevice(
  flags: DeviceFlags,
  context: Context & { readonly group?: ProcessGroup },
  folder: string,
  beginning: Omit<Beginning, "onOpen">,
  train: (device: Device, beginning: Beginning) => Promise<void>,
): Promise<void> {
  // Where one of several processes loses its device, the job ends: the others wait for its gradients.
  const most = (context.group?.size ?? 1) > 1 ? 1 : MOST_LOST;
  let now = beginning;
  let opened = false;
  const onOpen = (): void => {
    opened = true;
  };
  for (let lost = 1; ; lost++) {
    try {
      return await withDevice(flags, context, async (device) => {
        try {
          await train(device, { ...now, onOpen });
        } catch (error) {
          // It may have come out as another error, of what was at work.
          throw (await lossOf(device)) ?? error;
        }
      });
    } catch (error) {
      if (!(error instanceof DeviceLostError)) throw error;
      const latest = opened ? await latestIn(folder) : null;
      if (latest !== null && latest !== now.from) lost = 1;
      if (lost >= most) throw error;
      if (latest !== null) now = { from: latest, resume: true, overwrite: false };
      // Before its first checkpoint a run begins once more, from another one's checkpoint where it did so before.
      else if (opened) now = { ...beginning, resume: true, overwrite: beginning.from !== null };
      const again = now.from === null ? "the training begins again" : `the training goes on from ${now.from}`;
      context.output.laterWarning(`${oneLine(error)}: ${again} on a new one`);
    }
  }
}

/** That a device is lost; null for one that is not. */
async function lossOf(device: Device): Promise<DeviceLostError | null> {
  try {
    await device.sync();
    return null;
  } catch (error) {
    return error instanceof DeviceLostError ? error : null;
  }
}
