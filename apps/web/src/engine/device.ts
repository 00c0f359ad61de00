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
  if (asked === "wasm") {
    if (forbidden === null) return openWasm(before);
    throw new Error(`WebAssembly cannot be used here: ${forbidden}`);
  }
  const reasons = before === null ? [] : [before];
  const hardware = asked === "auto" && forbidden === null;
  try {
    return await openWebGpu(hardware ? "hardware" : "auto", before);
  } catch (error) {
    reasons.push(firstLine(error));
  }
  if (forbidden === null) return openWasm(reasons.join("; "));
  throw new Error(`nothing here can do the work: ${reasons.join("; ")}; WebAssembly cannot be used: ${forbidden}`);
}

async function openWebGpu(adapter: "hardware" | "auto", reason: string | null): Promise<OpenedDevice> {
  const device = await Device.request({ backend: "webgpu", adapter });
  return { device, description: { backend: "webgpu", name: gpuName(device.info.adapter), threads: 1, reason } };
}

async function openWasm(before: string | null): Promise<OpenedDevice> {
  const device = await Device.request({ backend: "cpu" });
  const threads = device.info.limits.threads ?? 1;
  const single = threads === 1 ? /one thread, since .*/.exec(device.info.reason)?.[0] : undefined;
  const reason = [before, single].filter((part) => part).join("; ") || null;
  const name = `WebAssembly, ${threads === 1 ? "1 thread" : `${threads} threads`}`;
  return { device, description: { backend: "wasm", name, threads, reason } };
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
    return "the page's security policy forbids it (script-src needs 'wasm-unsafe-eval')";
  }
}
