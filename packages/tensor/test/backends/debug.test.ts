import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../", import.meta.url));
const program = `
import { Device, gelu, keep } from "@deplsr/tensor";
const device = await Device.request({ backend: "webgpu" });
globalThis.held = keep(device.tensor([1, 2, 3])); // reachable to the end, so that no collection gives it back
await gelu(device.tensor([4, 5, 6, 7])).data();
await device.sync();
`;

/** Runs the program in a process of its own, since the variables are read once. */
async function stderrWith(variables: Record<string, string>, code = program, more: string[] = []): Promise<string> {
  const args = ["--import", "tsx", "--conditions", "@deplsr/source", "--input-type=module", "--eval", code, ...more];
  const { stderr } = await run(process.execPath, args, { cwd: root, env: { ...process.env, ...variables } });
  return stderr;
}

it("tells the adapter, each launch with its operands, the WGSL, and what was never given back", async () => {
  const text = await stderrWith({ DEPLSR_DEBUG: "4" });
  expect(text).toContain("maxStorageBufferBindingSize");
  expect(text).toMatch(/deplsr: pointwise<.*\(y f32\[4\], x0 f32\[4\]\) at /);
  expect(text).toContain("@compute @workgroup_size(WG)");
  expect(text).toMatch(/\d+ launches of \d+ kernels; \d+ buffers made/);
  expect(text).toMatch(/[1-9]\d* buffers with \d+ bytes were never given back/);
});

it("submits launch by launch, to name the one that fails, with the same results", async () => {
  const code = `
import { Device } from "@deplsr/tensor";
const device = await Device.request({ backend: "webgpu" });
let x = device.tensor([1, 2, 3]);
for (let i = 0; i < 5; i++) { x = x.add(1); x.dense(); }
console.error("result", await x.data());
`;
  expect(await stderrWith({ DEPLSR_DEBUG: "1" }, code)).toMatch(/result Float32Array\(3\) \[ 6, 7, 8 \]/);
});

it("writes a timeline for a trace viewer", async () => {
  const folder = await mkdtemp(join(tmpdir(), "trace-"));
  const file = join(folder, "trace.json");
  await stderrWith({ DEPLSR_TRACE: file });
  const { traceEvents } = JSON.parse(await readFile(file, "utf8")) as { traceEvents: TraceEvent[] };
  expect(traceEvents.some(({ name, dur }) => name.startsWith("pointwise") && dur > 0)).toBe(true);
  await rm(folder, { recursive: true });
});

describe("on the CPU", () => {
  const code = `
import { Device, matmul, gelu } from "@deplsr/tensor";
const device = await Device.request({ backend: "cpu", threads: Number(process.argv.at(-1)) });
const x = device.full([300, 200], 0.5);
console.error("result", (await gelu(matmul(x, device.ones([200, 100]))).data())[29_999]);
`;

  it.each([1, 2])("prints a line for each launch, and writes the timeline, with %i threads", async (threads) => {
    const folder = await mkdtemp(join(tmpdir(), "trace-"));
    const file = join(folder, "trace.json");
    const text = await stderrWith({ DEPLSR_DEBUG: "2", DEPLSR_TRACE: file }, code, [String(threads)]);
    expect(text).toContain("result 100");
    expect(text).toMatch(
      /deplsr: matmul\S* for matmul f32\[300, 100\] \[\d+\] [\d.]+ us, [\d.]+ GB\/s, [\d.]+ GFLOP\/s, [1-9]\d* bytes live/,
    );
    expect(text).toMatch(
      /deplsr: pointwise for gelu f32\[300, 100\] \[\d+\] [\d.]+ us, [\d.]+ GB\/s, [1-9]\d* bytes live/,
    );
    const { traceEvents } = JSON.parse(await readFile(file, "utf8")) as { traceEvents: TraceEvent[] };
    expect(traceEvents[0]).toMatchObject({ name: "process_name", args: { name: expect.stringContaining("CPU") } });
    const op = traceEvents.find(({ name }) => name === "matmul f32[300, 100]")!;
    expect(op.args).toMatchObject({ flops: 2 * 300 * 200 * 100, bytes: 4 * (300 * 200 + 200 * 100 + 300 * 100) });
    const launch = traceEvents.find(({ name, ts }) => /^matmul(-|$)/.test(name) && ts >= op.ts)!;
    expect(launch.ts + launch.dur).toBeLessThanOrEqual(op.ts + op.dur + 1e-3);
    await rm(folder, { recursive: true });
  });
});

interface TraceEvent {
  readonly name: string;
  readonly ts: number;
  readonly dur: number;
  readonly args: Readonly<Record<string, unknown>>;
}
