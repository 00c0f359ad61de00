/**
 * One rank of a measurement: steps of the two trainings with one thread, and reductions of as many bytes as they have. The first rank prints JSON. With
 * `--reductions` the steps are left out.
 */
import { openProcessGroup, type ProcessGroup } from "@deplsr/distributed";
import { Device } from "@deplsr/tensor";
import { describeMachine } from "../machine.ts";
import { type Observe, trainSr, trainSrclip } from "../models/training-step.bench.ts";
import type { Task } from "../task.ts";
import { bucketsOf } from "./model.ts";

/** What was measured on some ranks of one machine. */
export interface Measurement {
  readonly machine: ReturnType<typeof describeMachine>;
  readonly ranks: number;
  readonly library: string | null;
  readonly trainings: readonly {
    readonly name: string;
    readonly bytes: number;
    /** Seconds of a step without reduction, while the other ranks do one too, and of reducing its gradients in buckets of `bucket` bytes. */
    readonly step: number | null;
    readonly reduction: number;
    readonly bucket: number;
  }[];
  /** Of sums of several sizes. */
  readonly sums: readonly { readonly bytes: number; readonly seconds: number }[];
}

const BUCKET = 2 ** 24;
const STEPS = 3;
const SUMS = [2 ** 12, 2 ** 16, 2 ** 20, 2 ** 22, 2 ** 24];
const REPEATS = 3;
/** Sums of each size before they are timed: the first ones compile the loop that sums. */
const WARM_UP = 5;
const withSteps = !process.argv.includes("--reductions");

interface Training {
  readonly train: (device: Device, observe: Observe) => Task;
  /** Bytes of its gradients. */
  readonly bytes: number;
}

const TRAININGS: Readonly<Record<string, Training>> = {
  "RealDAT-light x2, batch 2": { train: (device, observe) => trainSr(device, false, observe), bytes: 2_585_232 },
  "SRCLIP ViT-B/32, batch 8": { train: trainSrclip, bytes: 384_998_408 },
};

/** Seconds of a step. @throws Error where its gradients are not as many bytes as expected */
async function timedStep(group: ProcessGroup, { train, bytes }: Training): Promise<number> {
  let found = 0;
  const task = train(await Device.request({ backend: "cpu", threads: 1 }), (gradients) => {
    found = [...gradients.values()].reduce((sum, { shape }) => sum + 4 * shape.reduce((size, n) => size * n, 1), 0);
  });
  await task.run(1);
  if (found !== bytes) throw new Error(`gradients have ${found} bytes, ${bytes} were expected`);
  const step = await timed(group, STEPS, () => task.run(1));
  task.dispose();
  return step;
}

/** Seconds of what all ranks do at once, the median of several times; each rank's slowest counts. */
async function timed(group: ProcessGroup, times: number, work: () => Promise<unknown>): Promise<number> {
  const all: number[] = [];
  for (let i = 0; i < times; i++) {
    await group.barrier();
    const start = performance.now();
    await work();
    const [slowest] = await group.allReduce(Float64Array.of((performance.now() - start) / 1000), "max");
    all.push(slowest!);
  }
  return all.sort((a, b) => a - b)[Math.floor(times / 2)]!;
}

const group = await openProcessGroup();
const sums: { bytes: number; seconds: number }[] = [];
for (const bytes of SUMS) {
  const values = new Float32Array(bytes / 4).fill(group.rank);
  for (let i = 0; i < WARM_UP; i++) await group.allReduce(values);
  sums.push({ bytes, seconds: await timed(group, REPEATS, () => group.allReduce(values)) });
}
const trainings: Measurement["trainings"][number][] = [];
for (const [name, training] of Object.entries(TRAININGS)) {
  const { bytes } = training;
  const step = withSteps ? await timedStep(group, training) : null;
  const buckets = bucketsOf(bytes, BUCKET).map((size) => new Float32Array(size / 4));
  const reduction = await timed(group, REPEATS, () => Promise.all(buckets.map((values) => group.allReduce(values))));
  trainings.push({ name, bytes, step, reduction, bucket: BUCKET });
}
const measured: Measurement = {
  machine: describeMachine(),
  ranks: group.size,
  library: group.library,
  trainings,
  sums,
};
if (group.rank === 0) process.stdout.write(`${JSON.stringify(measured)}\n`);
await group.close();
process.exit(0);
