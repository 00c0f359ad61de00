/** What the worker holds: a bench with its device, photos, results. */
import { type Attachments, attachmentsOf, type Photo, type Provenance } from "@deplsr/photo";
import { attentionOf, type RestoredTile, Restorer } from "@deplsr/restore";
import { DeviceError } from "@deplsr/tensor";
import type {
  AttentionMap,
  CropRequest,
  DeviceDescription,
  EnlargeSettings,
  PreviewPart,
  ResultFormat,
  SeenDegradation,
} from "../client/api.ts";
import { networkScale } from "../client/limits.ts";
import type { PhotoFacts, ResultFacts } from "../client/protocol.ts";
import { Bench } from "./bench.ts";
import { decodePhoto } from "./decode.ts";
import type { Asked } from "./device.ts";
import { seenIn } from "./diagnosis.ts";
import { removeLeftovers } from "./disk.ts";
import { encodeResult } from "./encode.ts";
import type { LoadedSrclip } from "./models.ts";
import { Preview } from "./preview.ts";
import { ResultStore } from "./result-store.ts";
import { TimeLeft } from "./time-left.ts";

/** What an enlarging tells on its way. */
export interface EnlargeHooks {
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, total: number, secondsLeft: number | null) => void;
  readonly onTile: ((part: PreviewPart) => void) | null;
}

interface HeldPhoto {
  readonly photo: Photo;
  /** Of the file's bytes; null where the page is not served securely. */
  readonly sha256: string | null;
}

interface HeldResult {
  readonly store: ResultStore;
  readonly attachments: Attachments;
}

/** Photos and results by number. */
export class Session {
  readonly #bench: Bench;
  readonly #photos = new Map<number, HeldPhoto>();
  readonly #results = new Map<number, HeldResult>();
  #serial = 0;

  constructor(backend: Asked, onDevice: (device: DeviceDescription) => void) {
    this.#bench = new Bench(backend, onDevice);
  }

  /** The device that was found. @throws Error with one line where there is none */
  async open(): Promise<DeviceDescription> {
    await removeLeftovers();
    return this.#bench.description();
  }

  async read(file: Blob, name: string, signal: AbortSignal): Promise<PhotoFacts> {
    const photo = await decodePhoto(file, signal);
    const id = ++this.#serial;
    this.#photos.set(id, { photo, sha256: await hashOf(file) });
    const { width, height, depth, alpha, format, notes } = photo;
    const room = await roomForResults();
    return { photo: id, name, width, height, depth, transparent: alpha !== null, format, notes, room };
  }

  diagnose(id: number, signal: AbortSignal): Promise<readonly SeenDegradation[]> {
    const { photo } = this.#held(id);
    return this.#ask(signal, ({ model, prompts }) => seenIn(model, photo, prompts));
  }

  async attention(id: number, signal: AbortSignal): Promise<AttentionMap> {
    const { photo } = this.#held(id);
    const { width, height, values } = await this.#ask(signal, ({ model }) => attentionOf(model, photo));
    const [least, most] = [Math.min(...values), Math.max(...values)];
    return { width, height, values: values.map((value) => (value - least) / Math.max(most - least, 1e-12)) };
  }

  /** Asks the SRCLIP, once more where its device fails. */
  async #ask<T>(signal: AbortSignal, question: (srclip: LoadedSrclip) => Promise<T>): Promise<T> {
    for (;;) {
      const srclip = await this.#bench.srclip();
      signal.throwIfAborted();
      try {
        return await question(srclip);
      } catch (error) {
        if (!(error instanceof DeviceError)) throw error;
        if (!(await this.#bench.replace(srclip.device, error))) throw error;
      }
    }
  }

  async enlarge(id: number, settings: EnlargeSettings, hooks: EnlargeHooks): Promise<ResultFacts> {
    const { photo, sha256 } = this.#held(id);
    const { signal } = hooks;
    const started = performance.now();
    const scale = networkScale(settings);
    const bench = this.#bench;
    const { place, hashes } = await bench.equipment(scale);
    const { device, ...parts } = place;
    const restorer = new Restorer(device, {
      ...parts,
      async replace(error, failed) {
        return (await bench.replace(failed, error)) ? (await bench.equipment(scale)).place : null;
      },
    });
    const preview = hooks.onTile && new Preview(photo, hooks.onTile);
    const clock = new TimeLeft();
    const { width, height, depth, strips } = restorer.stream(photo, {
      ...settings,
      signal,
      onProgress: (done, total) => hooks.onProgress(done, total, clock.after(done, total)),
      ...(preview ? { onTile: (tile: RestoredTile) => preview.show(tile) } : {}),
    });
    const channels = photo.grey ? (photo.alpha ? 2 : 1) : photo.alpha ? 4 : 3;
    const store = await ResultStore.open({ width, height, channels, depth, profile: photo.profile });
    try {
      for await (const strip of strips) store.write(strip);
    } catch (error) {
      await store.close();
      throw error;
    }
    const options = { ...provenanceOptions(settings), photo: sha256, srclip: hashes[1] };
    const provenance: Provenance | null = hashes[0] === null ? null : { model: hashes[0], options };
    const { profile, metadata } = photo;
    const about = { width, height, profile, metadata, ...(provenance ? { provenance } : {}) };
    const result = ++this.#serial;
    this.#results.set(result, { store, attachments: attachmentsOf(about) });
    return { result, seconds: (performance.now() - started) / 1000 };
  }

  crop(result: number, part: CropRequest): Promise<ImageBitmap> {
    return this.#result(result).store.crop(part);
  }

  encode(id: number, format: ResultFormat, quality: number | undefined, signal: AbortSignal): Promise<Blob> {
    const { store, attachments } = this.#result(id);
    return encodeResult(store, format, { attachments, quality, signal });
  }

  closePhoto(photo: number): void {
    this.#photos.delete(photo);
  }

  async closeResult(id: number): Promise<void> {
    const result = this.#results.get(id);
    this.#results.delete(id);
    await result?.store.close();
  }

  #held(id: number): HeldPhoto {
    const photo = this.#photos.get(id);
    if (!photo) throw new DOMException("the photo was closed", "AbortError");
    return photo;
  }

  #result(id: number): HeldResult {
    const result = this.#results.get(id);
    if (!result) throw new DOMException("the result was closed", "AbortError");
    return result;
  }
}

/** What was asked for, as the command writes it. */
function provenanceOptions(settings: EnlargeSettings): Provenance["options"] {
  const { scale = null, width = null, height = null, strength = 1, colour = "keep", tile = "auto" } = settings;
  return { scale, width, height, strength, colour, tile };
}

async function hashOf(file: Blob): Promise<string | null> {
  if (!globalThis.crypto?.subtle) return null;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Where a browser tells nothing of its disk, results stay in memory. */
const ROOM_IN_MEMORY = 2 ** 30;

/** Bytes that a result may take: half of what the browser lets this origin have on disk. */
async function roomForResults(): Promise<number> {
  const estimate = await navigator.storage?.estimate().catch(() => undefined);
  const { quota = 0, usage = 0 } = estimate ?? {};
  return Math.max(ROOM_IN_MEMORY, (quota - usage) / 2);
}
