import type { Task } from "./task.ts";

/** A loss on the device, of any library. */
export interface Loss {
  data(): Promise<ArrayLike<number>>;
  dispose(): void;
}

/** What a library does to train. */
export interface Training {
  /** One step: forward, backward, update. */
  step(): Loss;
  /** Waits until the steps so far are done, updates included. */
  wait(): Promise<void>;
  dispose(): void;
}

/** A task whose every run is a training step, checked by the losses of the first `checked` steps; later losses are not read. */
export function trainingTask({ step, wait, dispose }: Training, checked: number): Task {
  const first: Loss[] = [];
  const advance = (): void => {
    const loss = step();
    if (first.length < checked) first.push(loss);
    else loss.dispose();
  };
  return {
    async result() {
      while (first.length < checked) advance();
      const values = new Float32Array(checked);
      for (const [index, loss] of first.entries()) values[index] = (await loss.data())[0]!;
      return values;
    },
    async run(count) {
      for (let i = 0; i < count; i++) advance();
      await wait();
    },
    dispose() {
      for (const loss of first) loss.dispose();
      dispose();
    },
  };
}
