import { arch, cpus, platform, totalmem } from "node:os";
import { type BackendInfo, Device, type ListedAdapter, listAdapters } from "@deplsr/tensor";
import type { Context, DeviceFlags } from "./commands/command.ts";
import { openDevice } from "./device.ts";
import { type Benchmark, benchmark } from "./doctor-benchmark.ts";
import { oneLine, UserError } from "./errors.ts";
import { counted, type Output } from "./output.ts";
import { byteSize } from "./progress.ts";

/** The CPU backend takes no more. */
const MOST_THREADS = 256;

type BackendName = "webgpu" | "cpu";

/** A backend that was tried, or why it could not be. */
type Examined = { readonly info: BackendInfo; readonly benchmark: Benchmark } | { readonly problem: string };

/** Does what `deplsr doctor` asks for. */
export async function runDoctor(flags: DeviceFlags, { output }: Context): Promise<void> {
  const cores = cpus().length;
  const machine = { node: process.versions.node, platform: `${platform()} ${arch()}`, cores, memoryBytes: totalmem() };
  output.line(
    `deplsr on Node ${machine.node}, ${machine.platform}, ${counted(cores, "processor core")}, ${byteSize(totalmem())} memory`,
  );
  const adapters = await listAdapters();
  output.line("adapters of WebGPU:");
  for (const { kind, name, available, detail } of adapters) {
    show(output, `  ${kind.padEnd(11)}`, available ? [name] : detail.split("\n"));
  }
  const backends: Partial<Record<BackendName, Examined>> = {};
  for (const name of ["webgpu", "cpu"] as const) {
    if (flags.backend === (name === "cpu" ? "webgpu" : "cpu")) continue;
    const examined = await examine(name, flags.adapter);
    show(output, name === "cpu" ? "CPU   " : "WebGPU", describe(examined));
    backends[name] = examined;
  }
  const device = await openDevice(flags);
  const { backend, adapter, kind, reason } = device.info;
  device.destroy();
  output.line(`${asked(flags)} takes ${backend === "cpu" ? "the CPU" : adapter}: ${reason}`);
  const advice = adviceFor(adapters, backends, backend, cores);
  for (const line of advice) output.line(`for more speed: ${line}`);
  for (const examined of Object.values(backends)) {
    if ("problem" in examined || examined.benchmark.passed) continue;
    throw new UserError(
      `doctor: ${examined.info.adapter} computes wrong numbers: update its driver or choose another --adapter or --backend`,
    );
  }
  output.result({ ...machine, adapters, backends, chosen: { backend, adapter, kind, reason }, advice });
}

/** Lines beside a heading, below each other. */
function show(output: Output, heading: string, lines: readonly string[]): void {
  lines.forEach((line, i) => {
    output.line(`${i === 0 ? heading : " ".repeat(heading.length)}  ${line}`);
  });
}

/** Opens a backend by itself and measures it. */
async function examine(backend: BackendName, adapter: DeviceFlags["adapter"]): Promise<Examined> {
  let device: Device;
  try {
    device = await Device.request({ backend, ...(adapter && backend === "webgpu" && { adapter }) });
  } catch (error) {
    return { problem: oneLine(error) };
  }
  try {
    return { info: device.info, benchmark: await benchmark(device) };
  } finally {
    device.destroy();
  }
}

function describe(examined: Examined): string[] {
  if ("problem" in examined) return [`not here: ${examined.problem}`];
  const { info } = examined;
  const { passed, largestError, side, milliseconds, gigaflops } = examined.benchmark;
  const verdict = `${passed ? "right" : "WRONG"}, largest error ${largestError.toExponential(1)}`;
  return [
    info.adapter.replace(/^CPU, /, ""),
    `${gigaflops.toFixed(1)} GFLOP/s: matmul ${side}^3 in ${milliseconds.toFixed(1)} ms (${verdict})`,
    limitsOf(info),
  ];
}

/** The limits that models run into. */
function limitsOf({ backend, limits, features, maxTensorBytes }: BackendInfo): string {
  if (backend === "cpu") return `${byteSize(limits.memoryBytes ?? 0)} for all tensors together`;
  const { maxComputeWorkgroupStorageSize = 0, maxComputeInvocationsPerWorkgroup = 0, subgroupSize = 0 } = limits;
  return [
    `tensors of up to ${byteSize(maxTensorBytes)}`,
    `workgroups of ${maxComputeInvocationsPerWorkgroup} with ${byteSize(maxComputeWorkgroupStorageSize)}`,
    subgroupSize > 0 ? `subgroups of ${subgroupSize}` : "no subgroups of one size",
    features.includes("shader-f16") ? "f16" : "no f16",
  ].join(", ");
}

/** What the choice follows from, in the words of the command line. */
function asked({ backend, adapter }: DeviceFlags): string {
  const named = [
    ["--backend", backend],
    ["--adapter", adapter],
    ["DEPLSR_BACKEND", process.env.DEPLSR_BACKEND],
    ["DEPLSR_ADAPTER", process.env.DEPLSR_ADAPTER],
  ].find(([, value]) => value);
  return named ? named.join(" ") : "auto";
}

function adviceFor(
  adapters: readonly ListedAdapter[],
  { webgpu, cpu }: Readonly<Partial<Record<BackendName, Examined>>>,
  chosen: string,
  cores: number,
): string[] {
  const has = (kind: string): boolean => adapters.some((adapter) => adapter.kind === kind && adapter.available);
  const advice: string[] = [];
  if (!has("hardware")) {
    advice.push("a GPU with a Vulkan, Metal or Direct3D 12 driver is far faster than what is here");
    if (!has("system") && platform() === "linux") {
      advice.push(
        "without a GPU, WebGPU is a few times faster with lavapipe: apt-get install mesa-vulkan-drivers libvulkan1 (Mesa 24 or newer)",
      );
    }
  }
  if (cpu && "info" in cpu) {
    const { threads = 1 } = cpu.info.limits;
    if (threads < Math.min(cores, MOST_THREADS))
      advice.push(`the CPU backend runs on ${threads} of ${cores} cores: unset DEPLSR_THREADS`);
    if (!cpu.info.features.includes("relaxed-simd")) {
      advice.push("the CPU backend multiplies faster with relaxed SIMD: Node 22 or later has it");
    }
    if (arch() === "x64" && Number(process.versions.node.split(".")[0]) < 24) {
      advice.push(
        "with AVX2 the CPU backend is about twice as fast on Node 24, where it computes with vectors of 256 bits",
      );
    }
    if (webgpu && "info" in webgpu) {
      const faster = cpu.benchmark.gigaflops > webgpu.benchmark.gigaflops ? "cpu" : "webgpu";
      if (faster !== chosen) advice.push(`--backend ${faster} multiplied faster here`);
    }
  }
  return advice;
}
