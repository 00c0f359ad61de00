import type { DeviceOptions } from "@deplsr/tensor";
import { openOurs } from "./ours.ts";
import { openJax } from "./peers/jax-js.ts";
import { openOrt } from "./peers/ort-node.ts";
import { openTf } from "./peers/tfjs.ts";
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
}

/** A library that is open in this process. */
export interface Contender {
  readonly about: About;
  /** The row's work, ready to run, in this one of the library's ways; undefined where it has no such way. */
  prepare(tasks: Tasks, way: number): Promise<Task> | undefined;
}

/** Everyone who can be measured: how to open them, and what they compute on. */
export const contenders = {
  ours: { on: "any", open: openOurs },
  "jax-js": { on: "webgpu", open: () => openJax("webgpu") },
  "tfjs-webgpu": { on: "webgpu", open: () => openTf("webgpu") },
  "ort-webgpu": { on: "webgpu", open: () => openOrt("webgpu") },
  "jax-js-wasm": { on: "cpu", open: () => openJax("wasm") },
  "tfjs-wasm": { on: "cpu", open: () => openTf("wasm") },
  "ort-cpu": { on: "cpu", open: () => openOrt("cpu") },
  /** Bare WGSL without a library, for the ceilings. */
  raw: { on: "webgpu", open: openRaw },
} as const satisfies Record<
  string,
  { readonly on: "any" | "webgpu" | "cpu"; readonly open: (options: DeviceOptions) => Promise<Contender> }
>;

export type ContenderName = keyof typeof contenders;

/** Everyone that ours is measured against. */
export const peerNames: readonly ContenderName[] = (Object.keys(contenders) as ContenderName[]).filter(
  (name) => name !== "ours" && name !== "raw",
);
