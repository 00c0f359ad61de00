/** What the work is done on: a hardware GPU, else WebAssembly on threads, else on one. */
import { Device } from "@deplsr/tensor";
import type { DeviceDescription } from "../client/api.ts";
import { firstLine } from "./message.ts";

/** A device, and what people are told of it. */
export interface OpenedDevice {
  readonly device: Device;
  readonly description: DeviceDescription;
}

/** What can be asked for. */
export type Asked = "auto" | "webgpu" | "wasm";

/**
 * Opens the best device there is. A software adapter is asked for by name only, or where WebAssembly is forbidden: it is slower than that.
 *
 * @param before why another one was given up; null for none
 * @throws Error with one line where there is none
 */
export async function openDevice(asked: Asked, before: string | null = null): Promise<OpenedDevice> {
  const forbidden = whyNoWebAssembly();
  const missing: Missing[] = before === null ? [] : [{ reason: before, advice: null }];
  if (asked === "wasm") {
    if (forbidden === null) return openWasm(missing);
    throw new Error(`WebAssembly cannot be used here: ${forbidden}`);
  }
  const hardware = asked === "auto" && forbidden === null;
  try {
    return await openWebGpu(hardware ? "hardware" : "auto", before);
  } catch (error) {
    missing.push(whyNoGpu(error));
  }
  if (forbidden === null) return openWasm(missing);
  const gpu = missing.map(({ reason }) => reason).join("; ");
  throw new Error(`nothing here can do the work: no GPU (${gpu}), and no WebAssembly (${forbidden})`);
}

/** What is not there, and what can be done about it. */
interface Missing {
  readonly reason: string;
  readonly advice: string | null;
}

async function openWebGpu(adapter: "hardware" | "auto", reason: string | null): Promise<OpenedDevice> {
  const device = await Device.request({ backend: "webgpu", adapter });
  const name = gpuName(device.info.adapter);
  return { device, description: { backend: "webgpu", name, threads: 1, reason, advice: null } };
}

async function openWasm(missing: readonly Missing[]): Promise<OpenedDevice> {
  const device = await Device.request({ backend: "cpu" });
  const threads = device.info.limits.threads ?? 1;
  const single = threads === 1 ? /one thread, since (.*)/.exec(device.info.reason)?.[1] : undefined;
  const all = single === undefined ? missing : [...missing, whyOneThread(single)];
  const joined = (part: keyof Missing, between: string): string | null =>
    all.flatMap((one) => one[part] ?? []).join(between) || null;
  const name = `WebAssembly, ${threads === 1 ? "1 thread" : `${threads} threads`}`;
  const [reason, advice] = [joined("reason", "; "), joined("advice", " ")];
  return { device, description: { backend: "wasm", name, threads, reason, advice } };
}

/** @param error what the engine says of it */
function whyNoGpu(error: unknown): Missing {
  if (!globalThis.isSecureContext)
    return {
      reason: "the page is not served securely",
      advice: "Browsers give a GPU to pages of https addresses only.",
    };
  if (!navigator.gpu) {
    const advice = "Chrome and Edge have WebGPU from version 113 on, Safari from 26, Firefox from 141.";
    return { reason: "this browser has no WebGPU", advice };
  }
  const line = firstLine(error);
  if (!/has no WebGPU adapter/.test(line)) return { reason: line, advice: null };
  const advice = "There may be one all the same: see whether hardware acceleration is on in the browser's settings.";
  return { reason: "the browser offers no GPU", advice };
}

/** @param why as the engine says it, for whoever hosts the page */
function whyOneThread(why: string): Missing {
  const isolated = globalThis.crossOriginIsolated;
  return {
    reason: isolated ? why : "it may use one core only",
    advice: isolated ? null : `All cores are not used: ${why}.`,
  };
}

/** Browsers tell a vendor and an architecture, in lower case. */
function gpuName(adapter: string): string {
  const names: Readonly<Record<string, string>> = {
    nvidia: "NVIDIA",
    amd: "AMD",
    intel: "Intel",
    apple: "Apple",
    arm: "ARM",
    qualcomm: "Qualcomm",
    google: "Google",
  };
  return adapter.replace(/^[a-z]+(?=\s|$)/, (vendor) => names[vendor] ?? vendor);
}

/** Why WebAssembly cannot be used; null where it can. */
function whyNoWebAssembly(): string | null {
  if (typeof WebAssembly === "undefined") return "this browser has none";
  try {
    new WebAssembly.Module(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
    return null;
  } catch {
    return "the page's security policy forbids it: script-src needs 'wasm-unsafe-eval'";
  }
}
