import type { Shape } from "@deplsr/tensor";
import type { Contender } from "../contender.ts";
import { type Feeds, prepareWay, type Task } from "../task.ts";
import { requirePeer, shimGpu, versionOf } from "./gpu.ts";

/** A tensor of TensorFlow.js, as much of it as the rows use. */
export interface TfTensor {
  readonly shape: Shape;
  data(): Promise<Float32Array>;
  dispose(): void;
}

/** `@tensorflow/tfjs`, as much of it as the rows use. */
export interface Tf {
  setBackend(name: string): Promise<boolean>;
  env(): { set(flag: string, value: boolean): void };
  ready(): Promise<void>;
  tidy<T>(work: () => T): T;
  tensor(values: Float32Array, shape: Shape): TfTensor;
  variable(initial: TfTensor): TfTensor;
  add(a: TfTensor, b: TfTensor | number): TfTensor;
  sub(a: TfTensor, b: TfTensor | number): TfTensor;
  mul(a: TfTensor, b: TfTensor | number): TfTensor;
  reshape(x: TfTensor, shape: Shape): TfTensor;
  slice(x: TfTensor, begin: number | readonly number[], size: number | readonly number[]): TfTensor;
  transpose(x: TfTensor, dims: readonly number[]): TfTensor;
  concat(tensors: readonly TfTensor[], axis: number): TfTensor;
  /** Along the first axis. */
  unstack(x: TfTensor): TfTensor[];
  matMul(a: TfTensor, b: TfTensor, transposeA?: boolean, transposeB?: boolean): TfTensor;
  readonly fused: {
    matMul(options: { readonly a: TfTensor; readonly b: TfTensor; readonly bias?: TfTensor }): TfTensor;
  };
  conv2d(x: TfTensor, filter: TfTensor, strides: number, padding: "same" | number): TfTensor;
  depthwiseConv2d(x: TfTensor, filter: TfTensor, strides: number, padding: "same"): TfTensor;
  conv2dTranspose(x: TfTensor, filter: TfTensor, outputShape: Shape, strides: number, padding: "same"): TfTensor;
  engine(): {
    runKernel(
      name: string,
      inputs: Readonly<Record<string, TfTensor>>,
      attributes: Readonly<Record<string, unknown>>,
    ): TfTensor;
  };
  softmax(x: TfTensor, dim: number): TfTensor;
  logSoftmax(x: TfTensor, axis: number): TfTensor;
  moments(x: TfTensor, axis: number, keepDims: boolean): { readonly mean: TfTensor; readonly variance: TfTensor };
  rsqrt(x: TfTensor): TfTensor;
  erf(x: TfTensor): TfTensor;
  relu(x: TfTensor): TfTensor;
  neg(x: TfTensor): TfTensor;
  sum(x: TfTensor, axis?: number): TfTensor;
  mean(x: TfTensor, axis?: readonly number[]): TfTensor;
  readonly train: {
    adam(lr: number, beta1: number, beta2: number, epsilon: number): TfOptimizer;
  };
}

export interface TfOptimizer {
  minimize(loss: () => TfTensor, returnCost: true): TfTensor;
  dispose(): void;
}

/**
 * Opens TensorFlow.js on WebGPU (unsupported in Node by its makers, but it runs with a `navigator`) or on WASM, where it takes its build
 * with SIMD but, in Node, never the one with threads.
 *
 * @see https://github.com/tensorflow/tfjs/issues/3830
 */
export async function openTf(backend: "webgpu" | "wasm", threads = 1): Promise<Contender> {
  const adapter = backend === "webgpu" ? await shimGpu() : "CPU";
  const tf = requirePeer("@tensorflow/tfjs") as Tf;
  requirePeer(`@tensorflow/tfjs-backend-${backend}`);
  // Small operations on what was not uploaded yet are done in JavaScript otherwise, and no device has a part in them.
  if (backend === "webgpu") tf.env().set("WEBGPU_CPU_FORWARD", false);
  if (!(await tf.setBackend(backend))) throw new Error(`tfjs does not start its ${backend} backend`);
  await tf.ready();
  const remark = threads > 1 ? "one thread: it has no more in Node" : undefined;
  const about = { version: versionOf("@tensorflow/tfjs"), backend, adapter, ...(remark && { remark }) };
  return { about, prepare: ({ tfjs }, way) => prepareWay(tfjs, way, tf) };
}

/** Waits for the device by reading one number of the last result. */
export async function waitForTf(tf: Tf, last: TfTensor): Promise<void> {
  const one = tf.tidy(() => tf.slice(tf.reshape(last, [-1]), 0, 1));
  await one.data();
  one.dispose();
}

/** An operation of TensorFlow.js, each run in a `tidy`. */
export async function operationOfTf(
  tf: Tf,
  feeds: Feeds,
  work: (inputs: Readonly<Record<string, TfTensor>>) => TfTensor,
): Promise<Task> {
  const entries = Object.entries(feeds.inputs);
  const inputs = Object.fromEntries(entries.map(([key, { data, shape }]) => [key, tf.tensor(data, shape)]));
  return {
    async result() {
      const output = tf.tidy(() => work(inputs));
      const data = await output.data();
      output.dispose();
      return feeds.read(data);
    },
    async run(count) {
      let last: TfTensor | undefined;
      for (let i = 0; i < count; i++) {
        last?.dispose();
        last = tf.tidy(() => work(inputs));
      }
      if (!last) return;
      await waitForTf(tf, last);
      last.dispose();
    },
    dispose() {
      for (const tensor of Object.values(inputs)) tensor.dispose();
    },
  };
}
