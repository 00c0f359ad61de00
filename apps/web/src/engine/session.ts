/** What the worker holds: a device with its networks, photos, results. */
import { Restorer } from "@deplsr/restore";
import type {
  AttentionMap,
  CropRequest,
  DeviceDescription,
  EnlargeSettings,
  PreviewPart,
  ResultFormat,
  SeenDegradation,
} from "../client/api.ts";
import { networkScale, planOf } from "../client/limits.ts";
import type { PhotoFacts, ResultFacts } from "../client/protocol.ts";
import { type DecodedPhoto, decodePhoto } from "./decode.ts";
import { type Asked, type OpenedDevice, openDevice } from "./device.ts";
import { encodeResult } from "./encode.ts";
import { loadNetwork, loadSrclip } from "./models.ts";
import { ResultStore } from "./result-store.ts";

/** What an enlarging tells on its way. */
export interface EnlargeHooks {
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, total: number, secondsLeft: number | null) => void;
  readonly onTile: ((part: PreviewPart) => void) | null;
}

export class Session {
  readonly #onDevice: (device: DeviceDescription) => void;
  readonly #photos = new Map<number, DecodedPhoto>();
  readonly #results = new Map<number, { readonly store: ResultStore; readonly photo: DecodedPhoto }>();
  #serial = 0;
  #opened: OpenedDevice | null = null;

  constructor(onDevice: (device: DeviceDescription) => void) {
    this.#onDevice = onDevice;
  }

  async open(backend: Asked): Promise<DeviceDescription> {
    this.#opened = await openDevice(backend);
    this.#onDevice(this.#opened.description);
    return this.#opened.description;
  }

  async read(file: Blob, name: string, signal: AbortSignal): Promise<PhotoFacts> {
    const photo = await decodePhoto(file, name, signal);
    const id = ++this.#serial;
    this.#photos.set(id, photo);
    const { width, height, depth, alpha, format, notes } = photo;
    return { photo: id, name, width, height, depth, transparent: alpha !== null, format, notes, room: 2 ** 28 };
  }

  async diagnose(_photo: number, _signal: AbortSignal): Promise<readonly SeenDegradation[]> {
    throw new Error("what is wrong with a photo is not told here yet: the features of the prompts are missing");
  }

  async attention(_photo: number, _signal: AbortSignal): Promise<AttentionMap> {
    throw new Error("where the SRCLIP looked is not told here yet");
  }

  async enlarge(id: number, settings: EnlargeSettings, hooks: EnlargeHooks): Promise<ResultFacts> {
    const photo = this.#photos.get(id)!;
    const { device } = this.#opened!;
    const started = performance.now();
    const { network, prompt } = await loadNetwork(device, networkScale(settings));
    const { model: srclip } = await loadSrclip(device);
    const restorer = new Restorer(device, { network, srclip, prompt });
    const { width, height } = planOf({ ...photo, transparent: photo.alpha !== null, room: 2 ** 28 }, settings);
    const store = new ResultStore({ width, height, channels: photo.alpha ? 4 : 3, depth: photo.depth });
    const { strips } = restorer.stream(photo, {
      ...settings,
      signal: hooks.signal,
      onProgress: (d, t) => hooks.onProgress(d, t, null),
    });
    for await (const strip of strips) store.write(strip);
    const result = ++this.#serial;
    this.#results.set(result, { store, photo });
    return { result, seconds: (performance.now() - started) / 1000 };
  }

  async crop(result: number, part: CropRequest): Promise<ImageBitmap> {
    return this.#results.get(result)!.store.crop(part);
  }

  async encode(result: number, format: ResultFormat, quality: number | undefined, _signal: AbortSignal): Promise<Blob> {
    return encodeResult(this.#results.get(result)!.store, format, quality);
  }

  closePhoto(photo: number): void {
    this.#photos.delete(photo);
  }

  closeResult(result: number): void {
    this.#results.delete(result);
  }
}
