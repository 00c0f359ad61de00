import type { Shape } from "@deplsr/tensor";
import type { Contender } from "../contender.ts";
import { type Feeds, prepareWay, type Task } from "../task.ts";
import { importPeer, shimGpu, shimNavigator, versionOf } from "./gpu.ts";
import { shimWorker } from "./web-worker.ts";

/** An array of jax-js, as much of it as the rows use. Functions consume their arguments: `x.ref` is passed where x is needed again. */
export interface JaxArray {
  readonly ref: JaxArray;
  add(other: JaxArray | number): JaxArray;
  sub(other: JaxArray | number): JaxArray;
  mul(other: JaxArray | number): JaxArray;
  div(other: JaxArray | number): JaxArray;
  neg(): JaxArray;
  transpose(dims: readonly number[]): JaxArray;
  reshape(shape: Shape): JaxArray;
  /** An axis each: from, or from and to, or one place of it (which drops the axis), or all of it. */
  slice(...index: readonly (number | readonly [] | readonly [number] | readonly [number, number])[]): JaxArray;
  data(): Promise<Float32Array>;
  dispose(): void;
}

/** The names by which trees of arrays are passed in and out. */
export type JaxTree = Readonly<Record<string, JaxArray>>;

/** The module `@jax-js/jax`, as much of it as the rows use. */
export interface Jax {
  init(device: string): Promise<readonly string[]>;
  defaultDevice(device: string): string;
  jit<A extends readonly unknown[], R>(work: (...args: A) => R): (...args: A) => R;
  /** By the first argument. */
  grad<A extends readonly unknown[]>(work: (...args: A) => JaxArray): (...args: A) => A[0];
  valueAndGrad<A extends readonly unknown[]>(work: (...args: A) => JaxArray): (...args: A) => [JaxArray, A[0]];
  blockUntilReady<T>(tree: T): Promise<T>;
  readonly tree: { ref<T>(tree: T): T; dispose(tree: unknown): void };
  readonly numpy: {
    array(values: Float32Array | number, options?: { readonly shape: Shape }): JaxArray;
    zeros(shape: Shape): JaxArray;
    matmul(a: JaxArray, b: JaxArray): JaxArray;
    sum(x: JaxArray): JaxArray;
    mean(x: JaxArray, axis: readonly number[]): JaxArray;
    concatenate(arrays: readonly JaxArray[], axis: number): JaxArray;
    sqrt(x: JaxArray): JaxArray;
  };
  readonly nn: {
    softmax(x: JaxArray, axis: number): JaxArray;
    logSoftmax(x: JaxArray, axis: number): JaxArray;
    standardize(x: JaxArray, axis: number): JaxArray;
    gelu(x: JaxArray, options: { readonly approximate: boolean }): JaxArray;
    relu(x: JaxArray): JaxArray;
  };
  readonly lax: {
    conv(x: JaxArray, weight: JaxArray, strides: readonly number[], padding: string): JaxArray;
    convGeneralDilated(
      x: JaxArray,
      weight: JaxArray,
      strides: readonly number[],
      padding: string,
      options: { readonly featureGroupCount: number },
    ): JaxArray;
    convWithGeneralPadding(
      x: JaxArray,
      weight: JaxArray,
      strides: readonly number[],
      padding: readonly (readonly [number, number])[],
    ): JaxArray;
  };
}

/** Opens jax-js on WebGPU or on WASM; GPU and threads are unsupported in Node by its makers, but it runs with what a browser has. */
export async function openJax(device: "webgpu" | "wasm", threads = 1): Promise<Contender> {
  const adapter = device === "webgpu" ? await shimGpu() : "CPU";
  if (device === "wasm") shimNavigator({ hardwareConcurrency: threads });
  if (threads > 1) shimWorker();
  const api = (await importPeer("@jax-js/jax")) as Jax;
  if (!(await api.init(device)).includes(device)) throw new Error(`jax-js does not start its ${device} backend`);
  api.defaultDevice(device);
  const about = { version: versionOf("@jax-js/jax"), backend: device, adapter };
  return { about, prepare: ({ jax }, way) => prepareWay(jax, way, api) };
}

/** Outputs that may wait to be computed: they are all in memory at once. */
const MAX_WAITING = 8;

/** An operation under `jit`, which fuses it; without it (`eager`), chains of operations are two to three times slower. */
export async function operationOfJax(
  jax: Jax,
  feeds: Feeds,
  work: (inputs: JaxTree) => JaxArray,
  eager = false,
): Promise<Task> {
  const entries = Object.entries(feeds.inputs);
  const inputs: JaxTree = Object.fromEntries(
    entries.map(([key, { data, shape }]) => [key, jax.numpy.array(data, { shape })]),
  );
  await jax.blockUntilReady(inputs);
  const run = eager ? work : jax.jit(work);
  return {
    async result() {
      const output = run(jax.tree.ref(inputs));
      return feeds.read(await output.data());
    },
    async run(count) {
      // Arrays are lazy: one that is disposed before it was waited for is never computed.
      for (let done = 0; done < count; done += MAX_WAITING) {
        const length = Math.min(MAX_WAITING, count - done);
        const outputs = Array.from({ length }, () => run(jax.tree.ref(inputs)));
        await jax.blockUntilReady(outputs);
        jax.tree.dispose(outputs);
      }
    },
    dispose() {
      jax.tree.dispose(inputs);
    },
  };
}
