/**
 * What JavaScript costs for each launch: `npm run bench:recording`. Steps of steady shape are recorded as programs write them, in turns with a bare loop over
 * the very calls of WebGPU that such a step made, in the same process. Nothing is waited for while the clock runs. It also counts what a steady step makes anew:
 * buffers and bind groups.
 */
import { ResidualAttentionBlock } from "@deplsr/clip";
import { Adam, clipGradNorm, Ema, inference, l1Loss } from "@deplsr/nn";
import { REALDAT_LIGHT_X2, RealDAT } from "@deplsr/srclip";
import { backward, Device, detach, noGrad, Rng, requireGrad, scope, sum, type Tensor } from "@deplsr/tensor";
import { median } from "./statistics.ts";

/** What one launch gives a pass; the pipeline, and the bind group, where it is another than the launch before had. */
interface Dispatch {
  readonly pipeline: GPUComputePipeline | undefined;
  readonly group: GPUBindGroup | undefined;
  readonly grid: readonly [number, number, number];
}

/** What the queue is given before a submission: uniforms, which another one overwrites. */
interface Write {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

/** What a step asks of WebGPU, seen by standing in front of its methods. */
interface Asked {
  readonly submissions: { readonly writes: readonly Write[]; readonly dispatches: readonly Dispatch[] }[];
  buffers: number;
  groups: number;
}

const device = await Device.request({ backend: "webgpu" });
const gpu = (device.backend as unknown as { readonly gpu: { readonly device: GPUDevice } }).gpu.device;
const init = { device, rng: new Rng(1) };

/** Runs `work` and writes down what it asks for. */
async function watch(work: () => void): Promise<Asked> {
  const asked: Asked = { submissions: [], buffers: 0, groups: 0 };
  let dispatches: Dispatch[] = [];
  let writes: Write[] = [];
  let pipeline: GPUComputePipeline | undefined;
  let group: GPUBindGroup | undefined;
  const pass = GPUComputePassEncoder.prototype;
  const undo = [
    inFront(gpu, "createBuffer", () => asked.buffers++),
    inFront(gpu, "createBindGroup", () => asked.groups++),
    inFront(pass, "setPipeline", (next: GPUComputePipeline) => {
      pipeline = next;
    }),
    inFront(pass, "setBindGroup", (_: number, next: GPUBindGroup) => {
      group = next;
    }),
    inFront(pass, "dispatchWorkgroups", (x: number, y: number, z: number) => {
      dispatches.push({ pipeline, group, grid: [x, y, z] });
      pipeline = undefined;
      group = undefined;
    }),
    inFront(
      gpu.queue,
      "writeBuffer",
      (buffer: GPUBuffer, offset: number, data: Uint32Array<ArrayBuffer>, from?: number, count?: number) => {
        const start = from ?? 0;
        const { buffer: bytes } = data.slice(start, count === undefined ? undefined : start + count);
        writes.push({ buffer, offset, data: new Uint8Array(bytes) });
      },
    ),
    inFront(gpu.queue, "submit", () => {
      asked.submissions.push({ writes, dispatches });
      [writes, dispatches] = [[], []];
    }),
  ];
  work();
  await device.sync();
  for (const restore of undo) restore();
  return asked;
}

/** Calls `look` before each call of a method, until what is returned is called. */
function inFront<Name extends string, Arguments extends unknown[]>(
  target: { readonly [name in Name]: unknown },
  name: Name,
  look: (...given: Arguments) => void,
): () => void {
  const own = Object.getOwnPropertyDescriptor(target, name);
  const before = target[name] as (...given: Arguments) => unknown;
  Object.defineProperty(target, name, {
    configurable: true,
    writable: true,
    value: function (this: unknown, ...given: Arguments): unknown {
      look(...given);
      return before.apply(this, given);
    },
  });
  return () => {
    if (own) Object.defineProperty(target, name, own);
    else Reflect.deleteProperty(target, name);
  };
}

/** The same calls once more, and nothing besides. */
function bare({ submissions }: Asked): void {
  for (const { writes, dispatches } of submissions) {
    for (const { buffer, offset, data } of writes) gpu.queue.writeBuffer(buffer, offset, data);
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const { pipeline, group, grid } of dispatches) {
      if (pipeline) pass.setPipeline(pipeline);
      if (group) pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(grid[0], grid[1], grid[2]);
    }
    pass.end();
    gpu.queue.submit([encoder.finish()]);
  }
}

/** Milliseconds of this thread alone where Node tells them (from 23.9 on): those of an adapter in software are of others. */
function clock(): number {
  const { threadCpuUsage } = process as { threadCpuUsage?: () => { readonly user: number; readonly system: number } };
  if (!threadCpuUsage) return performance.now();
  const { user, system } = threadCpuUsage.call(process);
  return (user + system) / 1000;
}

/** Milliseconds of one of `times` runs. */
function elapsed(work: () => void, times: number): number {
  const start = clock();
  for (let i = 0; i < times; i++) work();
  return (clock() - start) / times;
}

/** Steps before the shape counts as steady. */
const SETTLING = 4;
/** Launches that are timed together, at least: clocks are coarse. */
const TOGETHER = 1000;
const ROUNDS = Number(process.argv[2] ?? 20);

/** Measures one step: µs of JavaScript a launch, and what is made anew. */
async function measure(name: string, step: () => void): Promise<void> {
  for (let i = 0; i < SETTLING; i++) {
    step();
    await device.sync();
  }
  const asked = await watch(step);
  const launches = asked.submissions.reduce((count, { dispatches }) => count + dispatches.length, 0);
  const times = Math.ceil(TOGETHER / launches);
  const recorded: number[] = [];
  const looped: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    recorded.push(elapsed(step, times));
    await device.sync();
    looped.push(elapsed(() => bare(asked), times));
    await device.sync();
  }
  const perLaunch = (ms: number): string => ((1000 * ms) / launches).toFixed(1);
  const [recording, loop] = [median(recorded), median(looped)];
  const cells = [
    name,
    launches,
    perLaunch(recording),
    perLaunch(loop),
    (recording / loop).toFixed(2),
    perLaunch(Math.min(...recorded)),
    perLaunch(Math.min(...looped)),
    asked.groups,
    asked.buffers,
  ];
  console.log(`| ${cells.join(" | ")} |`);
}

function random(shape: readonly number[]): Tensor {
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(i));
  return device.tensor(values, shape);
}

console.log(`${device.info.adapter}, Node ${process.version}, median and least of ${ROUNDS} steps; µs a launch\n`);
console.log(
  "| step | launches | recorded | bare loop | ratio | recorded, least | bare, least | bind groups made | buffers made |",
);
console.log("|---|---|---|---|---|---|---|---|---|");

const block = new ResidualAttentionBlock(
  { width: 64, layers: 1, heads: 4, mlpRatio: 4, layerScale: null, quickGelu: false },
  init,
);
const tokens = random([1, 16, 64]);
await measure("transformer block of width 64, inference", () =>
  scope(() => void noGrad(() => block.forward(tokens)).view()),
);
const wanted = requireGrad(random([2, 16, 64]));
await measure("the same with gradients", () =>
  scope(() => {
    for (const gradient of backward(sum(block.forward(wanted))).values()) gradient.view();
  }),
);
const network = new RealDAT({ ...REALDAT_LIGHT_X2, dropPathRate: 0 }, init);
const lq = random([1, 3, 16, 16]);
const prompt = { content: random([1, 1, 512]), degradation: random([1, 5, 512]) };
const enlarge = (x: Tensor): Tensor => network.forward(x, { mode: inference, prompt });
await measure("RealDAT-light x2, 16x16, inference", () => scope(() => void noGrad(() => enlarge(lq)).view()));
const captured = device.capture(enlarge);
await measure("the same, captured", () => scope(() => void noGrad(() => captured(lq)).view()));
captured.dispose();
const optimizer = new Adam([{ params: network.parameters(), lr: 1e-4 }]);
const ema = new Ema(network, 0.999);
const [pair, gt] = [random([2, 3, 16, 16]), random([2, 3, 32, 32])];
const prompts = { content: random([2, 1, 512]), degradation: random([2, 5, 512]) };
const train = (low: Tensor, high: Tensor, rng: Rng): Tensor => {
  const loss = l1Loss(network.forward(low, { mode: { training: true, rng }, prompt: prompts }), high);
  optimizer.step(clipGradNorm(backward(loss), 1).grads);
  ema.update();
  return detach(loss);
};
await measure("RealDAT-light x2, 2 squares of 16, a step of training", () =>
  scope(() => void train(pair, gt, new Rng(3)).view()),
);
const step = device.capture(train);
await measure("the same, captured", () => scope(() => void step(pair, gt, new Rng(3)).view()));
device.destroy();
