import { Device } from "../../src/index.ts";
import { everything } from "../backends/everything.ts";

/** What the CPU backend says of itself. */
export interface Computed {
  readonly adapter: string;
  readonly reason: string;
  /** SHA-256 of each result's bytes. */
  readonly digests: Readonly<Record<string, string>>;
}

/** Computes everything on the CPU backend with that many threads, or as many as it takes by itself. */
export async function compute(threads?: number): Promise<Computed> {
  const device = await Device.request({ backend: "cpu", ...(threads && { threads }) });
  const { adapter, reason } = device.info;
  const digests: Record<string, string> = {};
  for (const [name, array] of Object.entries(await everything(device))) {
    const hash = await crypto.subtle.digest("SHA-256", array.slice());
    digests[name] = Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("");
  }
  device.destroy();
  return { adapter, reason, digests };
}

Object.assign(globalThis, { compute });
