/** A training step of ours that can be looked into. */
import { backward, type Device, detach, scope, Tensor, transient } from "@deplsr/tensor";
import type { Task } from "./task.ts";
import { trainingTask } from "./training.ts";

/** What a step consists of, in order. */
export const PARTS = ["data", "forward", "backward", "optimizer"] as const;

/** Where a step goes: ms of each part, and the bytes of live tensors between steps, and the most that there were. */
export interface StepProfile {
  readonly parts: Readonly<Record<(typeof PARTS)[number], number>>;
  readonly liveBytes: number;
  readonly peakBytes: number;
}

/** A training on a device of its own, so that the memory is that of the training alone. Each part runs in a scope. */
export interface StepParts<Batch extends object> {
  readonly device: Device;
  /** Cuts the batch of a step (from 0) out of images in memory, and brings it to the device. */
  readonly data: (step: number) => Batch;
  /** The loss, a scalar with its graph. */
  readonly forward: (batch: Batch, step: number) => Tensor;
  readonly optimizer: (gradients: Map<Tensor, Tensor>) => void;
}

/** Steps that a profile is the mean of. */
const PROFILED = 2;

/** Training as a task, with which the device goes. The loss of the first step is what is compared. */
export function trainingSteps<Batch extends object>(training: StepParts<Batch>): Task {
  const { device } = training;
  let steps = 0;
  const step = (): Tensor => {
    const number = steps++;
    const batch = inScope(() => training.data(number));
    const [loss, gradients] = inScope(() => {
      const graph = training.forward(batch, number);
      return [detach(graph), backward(graph)] as const;
    });
    scope(() => training.optimizer(gradients));
    giveBack(batch, gradients);
    return loss;
  };
  /** The same in parts, of which each has ended on the device before the next one begins. → ms */
  const parts = async (): Promise<number[]> => {
    const number = steps++;
    const times: number[] = [];
    const timed = async <T>(part: () => T): Promise<T> => {
      const start = performance.now();
      const result = part();
      await device.sync();
      times.push(performance.now() - start);
      return result;
    };
    const batch = await timed(() => inScope(() => training.data(number)));
    using loss = await timed(() => transient(() => training.forward(batch, number)) as Tensor);
    const gradients = await timed(() => inScope(() => backward(loss)));
    await timed(() => scope(() => training.optimizer(gradients)));
    giveBack(batch, gradients);
    return times;
  };
  const profile = async (): Promise<StepProfile> => {
    const sums = PARTS.map(() => 0);
    for (let i = 0; i < PROFILED; i++) for (const [part, ms] of (await parts()).entries()) sums[part]! += ms;
    const { liveBytes, peakLiveBytes } = device.memory();
    const [data, forward, backward, optimizer] = sums.map((sum) => sum / PROFILED) as [number, number, number, number];
    return { parts: { data, forward, backward, optimizer }, liveBytes, peakBytes: peakLiveBytes };
  };
  return { ...trainingTask({ step, wait: () => device.sync(), dispose: () => device.destroy() }, 1), profile };
}

/** A scope around what is no promise, which its type leaves open. */
function inScope<T>(work: () => T): T {
  return scope(work) as T;
}

function giveBack(batch: object, gradients: ReadonlyMap<Tensor, Tensor>): void {
  for (const value of [...Object.values(batch), ...gradients.values()]) if (value instanceof Tensor) value.dispose();
}
