import type { Shape } from "@deplsr/tensor";
import type { Contender } from "../contender.ts";
import { type Feeds, prepareWay, type Task } from "../task.ts";
import { requirePeer, versionOf } from "./gpu.ts";
import { type OnnxNode, writeOnnx } from "./onnx.ts";

/** A tensor of ONNX Runtime. */
export interface OrtTensor {
  readonly data: Float32Array;
  dispose(): void;
}

interface OrtSession {
  run(feeds: Readonly<Record<string, OrtTensor>>): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
}

/** `onnxruntime-node` and `onnxruntime-web`, as much of them as is used. */
interface OrtModule {
  readonly env: { readonly wasm: { numThreads?: number } };
  readonly Tensor: new (type: "float32", data: Float32Array, shape: Shape) => OrtTensor;
  readonly InferenceSession: {
    create(model: Uint8Array, options: Readonly<Record<string, unknown>>): Promise<OrtSession>;
  };
}

/** A model, loaded so that its output stays on the device, and so that it comes to the host; on the CPU that is the same. */
export interface OrtModel {
  readonly device: OrtSession;
  readonly host: OrtSession;
}

/** ONNX Runtime, with its tensors where it computes. */
export interface Ort {
  load(model: Uint8Array): Promise<OrtModel>;
  upload(data: Float32Array, shape: Shape): Promise<OrtTensor>;
  /** Waits for the device. */
  wait(): Promise<void>;
}

/**
 * Opens ONNX Runtime's native build on its WebGPU provider (a Dawn of its own, which it does not let us look into) or on the CPU. An
 * operator that the provider lacks is an error, not a silent run on the CPU.
 */
export async function openOrtNode(provider: "webgpu" | "cpu", threads = 1): Promise<Contender> {
  const ort = requirePeer("onnxruntime-node") as OrtModule;
  const api = provider === "cpu" ? ortOnCpu(ort, "cpu", threads) : await ortOnGpu(ort);
  const adapter = provider === "cpu" ? "CPU" : "its own choice";
  const about = { version: versionOf("onnxruntime-node"), backend: provider, adapter };
  return { about, prepare: ({ ort: ways }, way) => prepareWay(ways, way, api) };
}

/** Opens ONNX Runtime's build for WebAssembly, which has SIMD; its threads are Node's workers. It copies inputs and outputs in every run. */
export async function openOrtWasm(threads = 1): Promise<Contender> {
  const ort = requirePeer("onnxruntime-web") as OrtModule;
  ort.env.wasm.numThreads = threads;
  const api = ortOnCpu(ort, "wasm", threads);
  const about = { version: versionOf("onnxruntime-web"), backend: "wasm", adapter: "CPU" };
  return { about, prepare: ({ ort: ways }, way) => prepareWay(ways, way, api) };
}

function ortOnCpu(ort: OrtModule, provider: "cpu" | "wasm", threads: number): Ort {
  const options = { executionProviders: [provider], intraOpNumThreads: threads, logSeverityLevel: 3 };
  return {
    async load(model) {
      const session = await ort.InferenceSession.create(model, options);
      return { device: session, host: session };
    },
    upload: async (data, shape) => new ort.Tensor("float32", data, shape),
    wait: async () => {},
  };
}

async function ortOnGpu(ort: OrtModule): Promise<Ort> {
  const session = (model: Uint8Array, output: "device" | "host"): Promise<OrtSession> =>
    ort.InferenceSession.create(model, {
      executionProviders: ["webgpu"],
      // One core: what its other threads would take is what a software adapter runs on.
      intraOpNumThreads: 1,
      logSeverityLevel: 3,
      extra: { session: { disable_cpu_ep_fallback: "1" } },
      ...(output === "device" && { preferredOutputLocation: "gpu-buffer" }),
    });
  const tiny = await session(identity([1]), "host");
  const one = { x: new ort.Tensor("float32", Float32Array.of(1), [1]) };
  // Reads one number.
  const wait = async (): Promise<void> => void (await tiny.run(one));
  await wait();
  const upload: Ort["upload"] = async (data, shape) => {
    const copy = await session(identity(shape), "device");
    const { y } = await copy.run({ x: new ort.Tensor("float32", data, shape) });
    return y!;
  };
  const load: Ort["load"] = async (model) => ({
    device: await session(model, "device"),
    host: await session(model, "host"),
  });
  return { load, upload, wait };
}

/** An operation as a model of a few nodes; inputs are uploaded once and outputs stay on the device. */
export async function operationOfOrt(
  ort: Ort,
  feeds: Feeds,
  nodes: readonly OnnxNode[],
  constants: readonly string[],
): Promise<Task> {
  const entries = Object.entries(feeds.inputs);
  const [fixed, fed] = [true, false].map((wanted) => entries.filter(([key]) => constants.includes(key) === wanted));
  const graph = writeOnnx({
    inputs: Object.fromEntries(fed!.map(([key, { shape }]) => [key, shape])),
    outputs: { output: feeds.output },
    nodes,
    initializers: Object.fromEntries(fixed!),
  });
  const { device, host } = await ort.load(graph);
  const inputs: Record<string, OrtTensor> = {};
  for (const [key, { shape, data }] of fed!) inputs[key] = await ort.upload(data, shape);
  return {
    async result() {
      const { output } = await host.run(inputs);
      return feeds.read(output!.data);
    },
    async run(count) {
      for (let i = 0; i < count; i++) {
        const { output } = await device.run(inputs);
        output!.dispose();
      }
      await ort.wait();
    },
    dispose() {
      for (const tensor of Object.values(inputs)) tensor.dispose();
      for (const session of new Set([device, host])) void session.release();
    },
  };
}

function identity(shape: Shape): Uint8Array {
  return writeOnnx({
    inputs: { x: shape },
    outputs: { y: shape },
    nodes: [{ op: "Identity", inputs: ["x"], outputs: ["y"] }],
  });
}
