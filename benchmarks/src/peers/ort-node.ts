import type { Shape } from "@deplsr/tensor";
import type { Contender } from "../contender.ts";
import type { Feeds, Task } from "../task.ts";
import { requirePeer, versionOf } from "./gpu.ts";
import { type OnnxNode, writeOnnx } from "./onnx.ts";

interface OrtTensor {
  readonly data: Float32Array;
  dispose(): void;
}

interface OrtSession {
  run(feeds: Readonly<Record<string, OrtTensor>>): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
}

/** `onnxruntime-node`, as much of it as is used. */
interface OrtModule {
  readonly Tensor: new (type: "float32", data: Float32Array, shape: Shape) => OrtTensor;
  readonly InferenceSession: {
    create(model: Uint8Array, options: Readonly<Record<string, unknown>>): Promise<OrtSession>;
  };
}

/** ONNX Runtime in Node, with its tensors on the device. */
export interface Ort {
  /** A session whose output stays on the device, or comes to the host. */
  session(model: Uint8Array, output: "device" | "host"): Promise<OrtSession>;
  tensor(data: Float32Array, shape: Shape): OrtTensor;
  /** Waits for the device by reading one number. */
  wait(): Promise<void>;
}

/**
 * Opens ONNX Runtime on its WebGPU provider (a Dawn of its own, which it does not let us look into) or on the CPU. An operator that the
 * provider lacks is an error, not a silent run on the CPU.
 */
export async function openOrt(provider: "webgpu" | "cpu"): Promise<Contender> {
  const ort = requirePeer("onnxruntime-node") as OrtModule;
  const session: Ort["session"] = (model, output) =>
    ort.InferenceSession.create(model, {
      executionProviders: [provider],
      // One core: what its other threads would take is what a software adapter runs on.
      intraOpNumThreads: 1,
      logSeverityLevel: 3,
      ...(provider === "webgpu" && { extra: { session: { disable_cpu_ep_fallback: "1" } } }),
      ...(provider === "webgpu" && output === "device" && { preferredOutputLocation: "gpu-buffer" }),
    });
  const tensor: Ort["tensor"] = (data, shape) => new ort.Tensor("float32", data, shape);
  const tiny = await session(identity([1]), "host");
  const one = { x: tensor(Float32Array.of(1), [1]) };
  const wait = async (): Promise<void> => void (await tiny.run(one));
  await wait();
  const api: Ort = { session, tensor, wait };
  const about = {
    version: versionOf("onnxruntime-node"),
    backend: provider,
    adapter: provider === "cpu" ? "CPU" : "its own choice",
  };
  return { about, prepare: ({ ort: ways }, way) => ways?.[way]?.(api) };
}

/** An operation as a model of a few nodes; inputs are uploaded once and outputs stay on the device. */
export async function operationOfOrt(ort: Ort, feeds: Feeds, nodes: readonly OnnxNode[]): Promise<Task> {
  const entries = Object.entries(feeds.inputs);
  const shapes = Object.fromEntries(entries.map(([key, { shape }]) => [key, shape]));
  const graph = writeOnnx({ inputs: shapes, outputs: { output: feeds.output }, nodes });
  const sessions = { device: await ort.session(graph, "device"), host: await ort.session(graph, "host") };
  const inputs: Record<string, OrtTensor> = {};
  for (const [key, { shape, data }] of entries) inputs[key] = await upload(ort, data, shape);
  return {
    async result() {
      const { output } = await sessions.host.run(inputs);
      return feeds.read(output!.data);
    },
    async run(count) {
      for (let i = 0; i < count; i++) {
        const { output } = await sessions.device.run(inputs);
        output!.dispose();
      }
      await ort.wait();
    },
    dispose() {
      for (const tensor of Object.values(inputs)) tensor.dispose();
      for (const session of Object.values(sessions)) void session.release();
    },
  };
}

async function upload(ort: Ort, data: Float32Array, shape: Shape): Promise<OrtTensor> {
  const session = await ort.session(identity(shape), "device");
  const { y } = await session.run({ x: ort.tensor(data, shape) });
  return y!;
}

function identity(shape: Shape): Uint8Array {
  return writeOnnx({
    inputs: { x: shape },
    outputs: { y: shape },
    nodes: [{ op: "Identity", inputs: ["x"], outputs: ["y"] }],
  });
}
