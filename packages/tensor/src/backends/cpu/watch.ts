/** Looking inside: what `DEPLSR_DEBUG=2` and `DEPLSR_TRACE` ask of the CPU backend. */
import type * as Calls from "../../backend.ts";
import { bytesPerElement } from "../../dtype.ts";
import { env } from "../../env.ts";
import { numel } from "../../shape.ts";
import { type LaunchCost, openTimeline, printLaunch } from "../timeline.ts";
import type { CpuEngine, LaunchTime } from "./engine.ts";

/** What is watched: a backend, whose own methods are its families, and the engine that runs what they record. */
export interface Watched extends Pick<Calls.Backend, "info" | "allocate" | "memory"> {
  readonly engine: Pick<CpuEngine, "onLaunch" | "run">;
}

/** The operand that a family writes, where it is not `out`. */
const OUTPUT: Readonly<Record<string, string>> = {
  conv2d: "y",
  conv2dInputGrad: "x",
  conv2dWeightGrad: "weight",
  softmax: "y",
  softmaxGrad: "dx",
  layerNorm: "y",
  layerNormGrad: "dx",
  adam: "param",
  attentionGrad: "dq",
};

/**
 * Makes a backend run each call at once, launch by launch, each on as many threads as its work is worth, and timed from being handed
 * out until its last thread is done; the first launch of a kernel compiles it. The op's name is that of the tensor which the call
 * writes.
 */
export function watch(backend: Watched): void {
  const { engine } = backend;
  const timeline = openTimeline(backend.info.adapter);
  const labels = new WeakMap<Calls.Storage, string>();
  const launches: LaunchTime[] = [];
  engine.onLaunch = (launch) => launches.push(launch);
  for (const [family, record] of Object.entries(backend)) {
    if (typeof record !== "function") continue;
    const watched = (call: Record<string, unknown>): void => {
      record(call);
      engine.run();
      const own = launches.splice(0);
      const [first, last] = [own[0], own.at(-1)];
      if (!first || !last) return;
      const out = call[OUTPUT[family] ?? "out"];
      const op = (isView(out) && labels.get(out.storage)) || family;
      const cost = costOf(family, call);
      const duration = last.start + last.duration - first.start;
      timeline?.events.push({ name: op, start: first.start, duration, details: { family, ...cost } });
      const main = own.reduce((a, b) => (b.cost > a.cost ? b : a));
      for (const launch of own) {
        const { kernel, units, start, duration } = launch;
        timeline?.events.push({ name: kernel, start, duration, details: { units } });
        if (env().debug < 2) continue;
        // What a call moves and computes is the work of its largest launch; the others prepare it.
        const known = launch === main ? cost : { bytes: 0, flops: 0 };
        printLaunch(`${kernel} for ${op}`, [units], duration, known, backend.memory().liveBytes);
      }
    };
    Object.assign(backend, { [family]: watched });
  }
  const allocate = backend.allocate.bind(backend);
  backend.allocate = (bytes, label) => {
    const storage = allocate(bytes, label);
    labels.set(storage, label);
    return storage;
  };
}

function costOf(family: string, call: object): LaunchCost {
  const views = Object.values(call).flat().filter(isView);
  const bytes = views.reduce((sum, { layout, dtype }) => sum + distinct(layout) * bytesPerElement(dtype), 0);
  return { bytes, flops: flopsOf(family, call) };
}

/** Elements of a layout, those of an expanded axis once. */
function distinct({ shape, strides }: Calls.View["layout"]): number {
  return numel(shape.filter((_, axis) => strides[axis] !== 0));
}

/** Floating-point operations of products; 0 for other families. The family's name says what `call` is. */
function flopsOf(family: string, call: object): number {
  switch (family) {
    case "matmul": {
      const { a, out } = call as Calls.MatmulCall;
      return 2 * numel(out.layout.shape) * a.layout.shape.at(-1)!;
    }
    case "attention": {
      const { k, v, q, out } = call as Calls.AttentionCall;
      const [d, m, e] = [q.layout.shape.at(-1)!, k.layout.shape.at(-2)!, v.layout.shape.at(-1)!];
      return (2 * numel(out.layout.shape) * m * (d + e)) / e;
    }
    case "attentionGrad": {
      const { q, k, v, dy } = call as Calls.AttentionGradCall;
      const [m, d, e] = [k.layout.shape.at(-2)!, q.layout.shape.at(-1)!, v.layout.shape.at(-1)!];
      return (2 * numel(dy.layout.shape) * m * (3 * d + 2 * e)) / e;
    }
    case "conv2d":
    case "conv2dInputGrad":
    case "conv2dWeightGrad": {
      const { geometry, y } = call as Calls.ConvCall;
      return (2 * numel(y.layout.shape) * numel(geometry.kernel) * geometry.channels) / geometry.groups;
    }
    default:
      return 0;
  }
}

function isView(value: unknown): value is Calls.View {
  return typeof value === "object" && value !== null && "storage" in value;
}
