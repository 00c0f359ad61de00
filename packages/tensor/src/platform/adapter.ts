// The declarations name WebGPU types, which not every consumer has among its globals.
/// <reference types="@webgpu/types" preserve="true" />

/**
 * Which adapter is asked for: `auto` takes the best there is, `hardware` a GPU, `system` a software Vulkan driver of the system
 * (lavapipe), `swiftshader` the software driver out of an npm package.
 */
export type AdapterChoice = "auto" | "hardware" | "system" | "swiftshader";

/** An adapter, and what has to stay alive beside it. */
export interface FoundAdapter {
  /** Keep it referenced: in Node, a Dawn instance that is collected takes the process down. */
  readonly gpu: GPU;
  readonly adapter: GPUAdapter;
  readonly kind: "hardware" | "system" | "swiftshader" | "browser";
  /** One sentence: why this one was chosen. */
  readonly reason: string;
}

/** One line of what a machine has to offer. */
export interface ListedAdapter {
  readonly kind: string;
  readonly name: string;
  readonly available: boolean;
  /** Driver and version where it is available, else what is missing. */
  readonly detail: string;
}
