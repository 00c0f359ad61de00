import { arch, cpus, platform, totalmem } from "node:os";
import { type Device, type ListedAdapter, listAdapters, matmul, Rng, rand, scope } from "@deplsr/tensor";
import type { Context, DeviceFlags } from "./commands/command.ts";
import { withDevice } from "./device.ts";
import { oneLine } from "./errors.ts";

/** Does what `deplsr doctor` asks for. */
export async function runDoctor(flags: DeviceFlags, context: Context): Promise<void> {
  const { output } = context;
  const adapters = await listAdapters();
  output.line(
    `deplsr on Node ${process.versions.node}, ${platform()} ${arch()}, ${cpus().length} processor cores, ${gibibytes(totalmem())} memory`,
  );
  for (const adapter of adapters) output.line(`  ${adapterLine(adapter)}`);
  const advice = adviceFor(adapters);
  const tested = await withDevice(flags, context, async (device) => {
    const { info } = device;
    output.line(`  features: ${info.features.join(", ") || "none"}`);
    for (const [name, value] of Object.entries(info.limits)) output.line(`  ${name}: ${limitText(name, value)}`);
    const test = await selfTest(device);
    output.line(
      `self test: ${test.passed ? "passed" : "FAILED"}; matmul ${SIDE}^3 in ${test.milliseconds.toFixed(1)} ms (${test.gigaflops.toFixed(1)} GFLOP/s), largest error ${test.largestError.toExponential(1)}`,
    );
    return { info, test };
  });
  for (const line of advice) output.line(`for more speed: ${line}`);
  if (!tested.test.passed)
    throw new Error(
      `doctor: ${tested.info.adapter} computes wrong numbers: update its driver or choose another --adapter`,
    );
  output.result({
    node: process.versions.node,
    platform: `${platform()} ${arch()}`,
    adapters,
    chosen: tested.info,
    selfTest: tested.test,
    advice,
  });
}

/** Side of the matrices of the self test. */
const SIDE = 512;
/** Elements of the product that are compared with sums in double precision. */
const CHECKED = 200;
/** The largest sum of SIDE rounded products that is still right: about SIDE/2 roundings of 6e-8 each, on sums of about SIDE/4. */
const TOLERANCE = 1e-3;

interface SelfTest {
  readonly passed: boolean;
  readonly milliseconds: number;
  readonly gigaflops: number;
  readonly largestError: number;
}

/** A matrix product that is checked on some elements, and timed for about a second. */
async function selfTest(device: Device): Promise<SelfTest> {
  const rng = new Rng(1);
  using a = rand(device, [SIDE, SIDE], rng);
  using b = rand(device, [SIDE, SIDE], rng);
  const [left, right] = [await a.data(), await b.data()];
  using product = matmul(a, b);
  const found = await product.data();
  let largestError = 0;
  for (let i = 0; i < CHECKED; i++) {
    const at = rng.integer(SIDE * SIDE);
    const [row, column] = [Math.floor(at / SIDE), at % SIDE];
    let expected = 0;
    for (let k = 0; k < SIDE; k++) expected += left[row * SIDE + k]! * right[k * SIDE + column]!;
    // A product that is not a number must not pass for a small error.
    const error = Math.abs(found[at]! - expected);
    largestError = error >= 0 ? Math.max(largestError, error) : Number.POSITIVE_INFINITY;
  }
  const times: number[] = [];
  const started = performance.now();
  while (times.length < 3 || (performance.now() - started < 1000 && times.length < 50)) {
    const before = performance.now();
    scope(() => void matmul(a, b));
    await device.sync();
    times.push(performance.now() - before);
  }
  const milliseconds = times.sort((x, y) => x - y)[Math.floor(times.length / 2)]!;
  return {
    passed: largestError < TOLERANCE,
    milliseconds,
    gigaflops: (2 * SIDE ** 3) / milliseconds / 1e6,
    largestError,
  };
}

function adapterLine({ kind, name, available, detail }: ListedAdapter): string {
  return available ? `${kind}: ${name}` : `${kind}: not here; ${oneLine(detail)}`;
}

function adviceFor(adapters: readonly ListedAdapter[]): string[] {
  const has = (kind: string): boolean => adapters.some((adapter) => adapter.kind === kind && adapter.available);
  if (has("hardware")) return [];
  const advice = ["a GPU with a Vulkan, Metal or Direct3D 12 driver is far faster than what is here"];
  if (!has("system") && platform() === "linux") {
    advice.push(
      "without a GPU, lavapipe is a few times faster than SwiftShader: apt-get install mesa-vulkan-drivers libvulkan1 (Mesa 24 or newer)",
    );
  }
  return advice;
}

function limitText(name: string, value: unknown): string {
  return typeof value === "number" && name.endsWith("Bytes") ? gibibytes(value) : String(value);
}

function gibibytes(bytes: number): string {
  return bytes >= 2 ** 29 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
