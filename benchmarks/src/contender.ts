import type { DeviceOptions } from "@deplsr/tensor";
import { openOurs } from "./ours.ts";
import { openJax } from "./peers/jax-js.ts";
import { openOrtNode, openOrtWasm } from "./peers/ort.ts";
import { openTf } from "./peers/tfjs.ts";
import { openTorch } from "./peers/torch.ts";
import { openRaw } from "./raw.ts";
import type { Tasks } from "./row.ts";
import type { Task } from "./task.ts";

/** What a contender says about itself. */
export interface About {
  readonly version: string;
  readonly backend: string;
  /** What it runs on, as far as it tells. */
  readonly adapter: string;
  /** Ours: hardware, system, swiftshader. */
  readonly kind?: string;
  /** What a reader of its column has to know. */
  readonly remark?: string;
}

/** A library that is open in this process. */
export interface Contender {
  readonly about: About;
  /** The row's work, ready to run, in this one of the library's ways; why it has none where that is known, undefined where there is no such way. */
  prepare(tasks: Tasks, way: number): Promise<Task> | string | undefined;
}

interface Entry {
  /** What it computes on. */
  readonly on: "any" | "webgpu" | "cpu";
  /** Its kernels are machine code, which nothing that runs in a browser reaches: it is shown, but not among the peers. */
  readonly native?: boolean;
  readonly open: (options: DeviceOptions) => Promise<Contender>;
}

/** Everyone who can be measured. Threads are of those on the CPU. */
export const contenders = {
  ours: { on: "any", open: openOurs },
  "jax-js": { on: "webgpu", open: () => openJax("webgpu") },
  "tfjs-webgpu": { on: "webgpu", open: () => openTf("webgpu") },
  "ort-webgpu": { on: "webgpu", open: () => openOrtNode("webgpu") },
  "jax-js-wasm": { on: "cpu", open: ({ threads }) => openJax("wasm", threads) },
  "tfjs-wasm": { on: "cpu", open: ({ threads }) => openTf("wasm", threads) },
  "ort-wasm": { on: "cpu", open: ({ threads }) => openOrtWasm(threads) },
  "ort-node": { on: "cpu", native: true, open: ({ threads }) => openOrtNode("cpu", threads) },
  torch: { on: "cpu", native: true, open: ({ threads }) => openTorch(threads) },
  /** Bare WGSL without a library, for the ceilings. */
  raw: { on: "webgpu", open: openRaw },
} as const satisfies Record<string, Entry>;

/** What a contender's process opens. */
export type Opened = keyof typeof contenders;

/** A column: a library, or ours of another checkout. */
export type ContenderName = Opened | "before";

/** Everyone that ours is measured against. */
export const peerNames: readonly Opened[] = (Object.keys(contenders) as Opened[]).filter(
  (name) => name !== "ours" && name !== "raw",
);

/** Those who compute on what ours computes on: the peers that count for the ratio, and native code beside them. */
export function rivals(backend: string): { readonly peers: Opened[]; readonly native: Opened[] } {
  const of = (wanted: boolean): Opened[] =>
    peerNames.filter((name) => {
      const { on, native = false }: Entry = contenders[name];
      return on === backend && native === wanted;
    });
  return { peers: of(false), native: of(true) };
}
