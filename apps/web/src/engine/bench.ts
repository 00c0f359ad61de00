/** The device that work is done on, with the networks on it: each loaded when it is needed, all anew on a device that takes over. */
import type { Workplace } from "@deplsr/restore";
import type { DeviceError } from "@deplsr/tensor";
import type { DeviceDescription } from "../client/api.ts";
import { type Asked, type OpenedDevice, openDevice } from "./device.ts";
import { firstLine } from "./message.ts";
import { type LoadedNetwork, type LoadedSrclip, loadNetwork, loadSrclip } from "./models.ts";

/** A network on a device, with its SRCLIP. */
export interface Equipment {
  readonly place: Workplace;
  /** Of the network's file, and of the SRCLIP's. */
  readonly hashes: readonly [network: string | null, srclip: string | null];
}

/** How often a lost GPU is asked for again before WebAssembly takes over. */
const NEW_DEVICES = 1;

/** A device with networks. */
export class Bench {
  readonly #asked: Asked;
  readonly #onDevice: (device: DeviceDescription) => void;
  #opened: Promise<OpenedDevice>;
  #srclip: Promise<LoadedSrclip> | null = null;
  readonly #networks = new Map<2 | 4, Promise<LoadedNetwork>>();
  #lost = 0;

  constructor(asked: Asked, onDevice: (device: DeviceDescription) => void) {
    this.#asked = asked;
    this.#onDevice = onDevice;
    this.#opened = openDevice(asked);
  }

  async description(): Promise<DeviceDescription> {
    return (await this.#opened).description;
  }

  /** The SRCLIP. @throws Error with one line where it cannot be loaded */
  srclip(): Promise<LoadedSrclip> {
    if (this.#srclip) return this.#srclip;
    const loading = this.#opened.then(({ device }) => loadSrclip(device));
    this.#srclip = loading;
    // Another attempt may find the network back.
    loading.catch(() => {
      if (this.#srclip === loading) this.#srclip = null;
    });
    return loading;
  }

  /** The network of a scale. @throws Error with one line where it cannot be loaded */
  async equipment(scale: 2 | 4): Promise<Equipment> {
    const { device } = await this.#opened;
    const loading = this.#networks.get(scale) ?? loadNetwork(device, scale);
    this.#networks.set(scale, loading);
    loading.catch(() => {
      if (this.#networks.get(scale) === loading) this.#networks.delete(scale);
    });
    const [{ network, prompt, sha256 }, srclip] = await Promise.all([loading, this.srclip()]);
    return { place: { device, network, srclip: srclip.model, prompt }, hashes: [sha256, srclip.sha256] };
  }

  /** Goes on elsewhere: a lost GPU is asked for once more, then it is WebAssembly. False where there is nothing else. */
  async replace(failed: Workplace["device"], error: DeviceError): Promise<boolean> {
    const before = this.#opened;
    const { device, description } = await before;
    // Somebody else's work has led to another one already, or is about to.
    if (device !== failed || this.#opened !== before) return true;
    if (description.backend === "wasm") return false;
    const again = ++this.#lost <= NEW_DEVICES && this.#asked !== "wasm";
    const why = `${description.name} failed (${firstLine(error)})`;
    this.#networks.clear();
    this.#srclip = null;
    this.#opened = openDevice(again ? this.#asked : "wasm", why);
    try {
      this.#onDevice((await this.#opened).description);
    } catch {
      return false;
    }
    device.destroy();
    return true;
  }
}
