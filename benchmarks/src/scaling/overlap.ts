/**
 * One rank of a measurement: how much of the reduction of gradients is hidden behind the backward pass that they come from. Steps that give their gradients to
 * `GradientSum` as they come, and steps that do so afterwards, take turns. The first rank prints JSON, in which no number is a time.
 */
import { DAT, DAT_LIGHT_X2 } from "@deplsr/dat";
import { GradientSum, openProcessGroup, type ProcessGroup } from "@deplsr/distributed";
import { l1Loss } from "@deplsr/nn";
import {
  backward,
  Device,
  gelu,
  matmul,
  mean,
  mul,
  Rng,
  rand,
  randn,
  requireGrad,
  scope,
  type Tensor,
} from "@deplsr/tensor";
import { describeMachine } from "../machine.ts";

/** What came of a training. */
export interface Hidden {
  readonly name: string;
  readonly megabytes: number;
  /** Of the bytes, those that MPI had before the last gradient was computed. The same in every run. */
  readonly sentBefore: number;
  /** 1 - waited / waited without: from when the last rank has its gradients until all have the sums, medians. */
  readonly hidden: number;
  /** The time of a step, forward to sums, by that of one without, medians. */
  readonly step: number;
}

/** What came of a job. */
export interface Overlap {
  readonly machine: ReturnType<typeof describeMachine>;
  readonly ranks: number;
  readonly library: string | null;
  readonly trainings: readonly Hidden[];
}

/** A network, and its loss on a batch of this rank. */
interface Training {
  readonly parameters: readonly Tensor[];
  readonly loss: (rng: Rng) => Tensor;
}

/** Steps of each kind that are measured, after one of each that is not. */
const STEPS = 5;

const TRAININGS: Readonly<Record<string, (device: Device) => Training>> = {
  "DAT-light x2, batch 2 of 32 x 32": (device) => {
    const network = new DAT(DAT_LIGHT_X2, { device, rng: new Rng(0) });
    return {
      parameters: [...network.parameters().values()],
      loss: (rng) => {
        const [lq, gt] = [rand(device, [2, 3, 32, 32], rng), rand(device, [2, 3, 64, 64], rng)];
        return l1Loss(network.forward(lq, { mode: { training: true, rng } }), gt);
      },
    };
  },
  "16 layers of 1024 to 1024, batch 256": (device) => {
    const rng = new Rng(0);
    const weights = Array.from({ length: 16 }, () => requireGrad(mul(randn(device, [1024, 1024], rng), 0.03)));
    return {
      parameters: weights,
      loss: (rng) => mean(weights.reduce((x, weight) => gelu(matmul(x, weight)), randn(device, [256, 1024], rng))),
    };
  },
};

/** What a step came to: seconds of all of it, and from when the last rank has its gradients until all have the sums. */
interface Times {
  readonly all: number;
  readonly waited: number;
  /** Share of the bytes that were on their way before the last gradient was there. */
  readonly sentBefore: number;
}

/** Moments of one machine, the last of all ranks, ms. */
async function last(group: ProcessGroup, moments: readonly number[]): Promise<Float64Array> {
  return group.allReduce(Float64Array.from(moments), "max");
}

const now = (): number => performance.timeOrigin + performance.now();

/** A group that counts what it is given to sum. */
function counting(group: ProcessGroup): { readonly group: ProcessGroup; readonly bytes: () => number } {
  let bytes = 0;
  const counted: ProcessGroup = {
    rank: group.rank,
    size: group.size,
    host: group.host,
    library: group.library,
    allReduce: (values, reduction) => {
      bytes += values.byteLength;
      return group.allReduce(values, reduction);
    },
    reduceScatter: (values, reduction) => group.reduceScatter(values, reduction),
    allGather: (values) => group.allGather(values),
    broadcast: (values, root) => group.broadcast(values, root),
    allReduceSync: (values, reduction) => group.allReduceSync(values, reduction),
    allGatherSync: (values) => group.allGatherSync(values),
    duplicate: () => group.duplicate(),
    barrier: () => group.barrier(),
    close: () => group.close(),
    abort: (code) => group.abort(code),
  };
  return { group: counted, bytes: () => bytes };
}

/** Steps of a training that give their gradients away as they come, and afterwards, in turns. */
async function measure(group: ProcessGroup, device: Device, name: string): Promise<Hidden> {
  const { parameters, loss } = TRAININGS[name]!(device);
  const { group: counted, bytes } = counting(group);
  const sum = new GradientSum(counted, parameters);
  const step = async (rng: Rng, early: boolean): Promise<Times> => {
    await group.barrier();
    const began = now();
    const from = bytes();
    const pass = sum.begin();
    let before = 0;
    const onGradient = (tensor: Tensor, gradient: Tensor): void => {
      before = bytes() - from;
      pass.take(tensor, gradient);
    };
    const gradients = scope(() => backward(loss(rng), early ? { onGradient } : {})) as Map<Tensor, Tensor>;
    await device.sync();
    const there = now();
    for (const [tensor, gradient] of gradients) pass.take(tensor, gradient);
    const summed = await pass.end([]);
    const ended = now();
    for (const each of [...gradients.values(), ...summed.gradients.values()]) each.dispose();
    const [begun, computed, done] = await last(group, [began, there, ended]);
    return { all: done! - begun!, waited: done! - computed!, sentBefore: before / (bytes() - from) };
  };
  const times: Record<"early" | "late", Times[]> = { early: [], late: [] };
  for (let i = 0; i <= STEPS; i++) {
    for (const kind of ["late", "early"] as const) {
      const one = await step(new Rng(i).fork(group.rank), kind === "early");
      if (i > 0) times[kind].push(one);
    }
  }
  for (const parameter of parameters) parameter.dispose();
  const ratio = (part: "all" | "waited"): number =>
    median(times.early.map((one) => one[part])) / median(times.late.map((one) => one[part]));
  return {
    name,
    megabytes: parameters.reduce((all, { size }) => all + 4 * size, 0) / 1e6,
    sentBefore: times.early[0]!.sentBefore,
    hidden: 1 - ratio("waited"),
    step: ratio("all"),
  };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

const group = await openProcessGroup();
const device = await Device.request({ backend: "cpu", threads: 1 });
const trainings: Hidden[] = [];
for (const name of Object.keys(TRAININGS)) trainings.push(await measure(group, device, name));
const overlap: Overlap = { machine: describeMachine(), ranks: group.size, library: group.library, trainings };
if (group.rank === 0) process.stdout.write(`${JSON.stringify(overlap)}\n`);
await group.close();
process.exit(0);
