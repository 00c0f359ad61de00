import { Device, type DeviceOptions, scope, type Tensor } from "@deplsr/tensor";
import type { Contender } from "./contender.ts";
import { type Feeds, prepareWay, type Task } from "./task.ts";

/** What a task of ours is made with. */
export interface Ours {
  readonly device: Device;
  /**
   * Waits for the device by reading one number, as the peers do: what was recorded before it has run then, whatever a driver takes
   * "submitted" to mean.
   */
  wait(): Promise<void>;
  /** Opens another device like it, for a task whose memory is measured. */
  another(): Promise<Device>;
}

/** Opens our own engine. */
export async function openOurs(options: DeviceOptions): Promise<Contender> {
  const device = await Device.request(options);
  const { backend, adapter, kind } = device.info;
  const one = device.zeros([1]);
  const wait = async (): Promise<void> => {
    await device.sync();
    await one.data();
  };
  const api: Ours = { device, wait, another: () => Device.request(options) };
  return {
    about: { version: "this checkout", backend, adapter, kind },
    prepare: ({ ours }, way) => prepareWay(ours, way, api),
  };
}

/** An operation on our engine: a scope for each run, as in a program that frees what it makes. */
export async function operationOfOurs(
  { device, wait }: Ours,
  feeds: Feeds,
  work: (inputs: Readonly<Record<string, Tensor>>) => Tensor,
): Promise<Task> {
  const entries = Object.entries(feeds.inputs);
  const inputs = Object.fromEntries(entries.map(([key, { data, shape }]) => [key, device.tensor(data, shape)]));
  await wait();
  return {
    async result() {
      const output = scope(() => work(inputs));
      const data = await output.data();
      output.dispose();
      return feeds.read(Float32Array.from(data));
    },
    async run(count) {
      // What leaves its scope is computed, so nothing is skipped by being thrown away.
      for (let i = 0; i < count; i++) scope(() => work(inputs)).dispose();
      await wait();
    },
    dispose() {
      for (const tensor of Object.values(inputs)) tensor.dispose();
    },
  };
}
