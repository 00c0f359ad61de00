/** The photos, one after the other through the upscaler. Says `change` whenever something is otherwise than before. */
import type { AttentionMap, DeviceDescription, OpenPhoto, OpenUpscaler, PreviewPart, Upscaler } from "../client/api.ts";
import { drawThumbnail, Item } from "./item.ts";
import { enlargeSettings, type Settings } from "./settings.ts";
import { oneLine } from "./words.ts";

/** The queue. */
export class Queue extends EventTarget {
  /** Everything that was dropped, in order. */
  readonly items: Item[] = [];
  /** What the work is done on; null until that is known. */
  device: DeviceDescription | null = null;
  /** Why nothing can be done at all, in one line. */
  broken: string | null = null;
  readonly #open: OpenUpscaler;
  readonly #settings: () => Settings;
  #upscaler: Promise<Upscaler> | null = null;
  #thumbnails: Promise<void> = Promise.resolve();
  /** What is being worked on, and what ends it. */
  #current: { readonly item: Item; readonly stop: AbortController; photo: OpenPhoto | null } | null = null;

  /** @param settings those that hold when a photo's turn comes */
  constructor(open: OpenUpscaler, settings: () => Settings) {
    super();
    this.#open = open;
    this.#settings = settings;
  }

  /** Opens the upscaler, where it is not open yet. */
  async start(): Promise<void> {
    await this.#ready().catch(() => {});
  }

  /** Puts a photo at the end. @param wanted false: it is worked on when somebody asks for it */
  add(file: Blob, name: string, wanted = true): Item {
    const item = new Item(file, name);
    if (!wanted) item.state = { kind: "cancelled" };
    this.items.push(item);
    this.#changed();
    // One after the other: each is decoded whole, and phones have little memory.
    this.#thumbnails = this.#thumbnails.then(() => this.#thumbnail(item));
    void this.#work();
    return item;
  }

  /** Makes another result, with the settings as they are now. */
  again(item: Item): void {
    if (item.pending) this.cancel(item);
    item.state = { kind: "waiting" };
    this.#changed();
    void this.#work();
  }

  /** Ends the work on a photo; it stays in the queue. */
  cancel(item: Item): void {
    if (!item.pending) return;
    item.state = { kind: "cancelled" };
    if (this.#current?.item === item) this.#current.stop.abort(new Error("cancelled"));
    this.#changed();
  }

  /** Ends the work on all photos. */
  cancelAll(): void {
    for (const item of this.items) this.cancel(item);
  }

  /** Takes a photo out. */
  remove(item: Item): void {
    this.cancel(item);
    const at = this.items.indexOf(item);
    if (at >= 0) this.items.splice(at, 1);
    item.close();
    this.#changed();
  }

  /** Ends everything. */
  close(): void {
    for (const item of [...this.items]) this.remove(item);
    this.#upscaler?.then(
      (upscaler) => upscaler.close(),
      () => {},
    );
    this.#upscaler = null;
  }

  /** Takes another device; what is being worked on begins again there. */
  async reopen(): Promise<void> {
    const interrupted = this.#current?.item;
    if (interrupted) this.cancel(interrupted);
    const old = this.#upscaler;
    this.#upscaler = null;
    this.device = null;
    this.broken = null;
    // Results lie in the worker that goes away.
    for (const item of this.items.filter(({ result }) => result !== null)) {
      item.clearResult();
      item.state = { kind: "waiting" };
    }
    if (interrupted) interrupted.state = { kind: "waiting" };
    this.#changed();
    (await old?.catch(() => null))?.close();
    await this.start();
    void this.#work();
  }

  /** Where the SRCLIP looked in a photo. */
  async attention(item: Item): Promise<AttentionMap> {
    if (item.attention === null) {
      const busy = this.#current?.item === item ? this.#current.photo : null;
      const photo = busy ?? (await (await this.#ready()).read(item.file, { name: item.name }));
      try {
        item.attention = await photo.attention();
      } finally {
        if (photo !== busy) photo.close();
      }
      this.#changed();
    }
    return item.attention;
  }

  /** One photo after the other, until none waits. */
  async #work(): Promise<void> {
    if (this.#current !== null) return;
    const item = this.items.find(({ state }) => state.kind === "waiting");
    if (item === undefined) return;
    const stop = new AbortController();
    this.#current = { item, stop, photo: null };
    try {
      await this.#process(item, stop.signal);
    } catch (error) {
      if (!stop.signal.aborted) item.state = this.#failed(item, error);
    }
    this.#current.photo?.close();
    this.#current = null;
    this.#changed();
    void this.#work();
  }

  async #process(item: Item, signal: AbortSignal): Promise<void> {
    // An abort says itself what becomes of the item.
    const enter = (state: Item["state"]): void => {
      signal.throwIfAborted();
      item.state = state;
      this.#changed();
    };
    item.clearResult();
    enter({ kind: "reading" });
    const upscaler = await this.#ready();
    signal.throwIfAborted();
    const photo = await upscaler.read(item.file, { name: item.name, signal });
    this.#current!.photo = photo;
    item.facts = photo;
    enter({ kind: "seeing" });
    item.seen ??= await photo.diagnose({ signal });
    signal.throwIfAborted();
    item.settings = this.#settings();
    const settings = enlargeSettings(item.settings, upscaler.device.backend);
    const plan = photo.plan(settings);
    if (Object.values(plan.refused).every((reason) => reason !== null)) throw new Error(plan.refused.png!);
    item.size = plan;
    enter({ kind: "enlarging", done: 0, total: 0, secondsLeft: null });
    const result = await photo.enlarge(settings, {
      signal,
      onProgress: (done, total, secondsLeft) => {
        if (!signal.aborted) enter({ kind: "enlarging", done, total, secondsLeft });
      },
      onTile: (part) => {
        if (!signal.aborted) this.#draw(item, part);
        part.bitmap.close();
      },
    });
    if (signal.aborted) result.close();
    signal.throwIfAborted();
    item.result = result;
    enter({ kind: "done" });
  }

  #draw(item: Item, { bitmap, left, top, width, height }: PreviewPart): void {
    if (item.preview === null) {
      item.preview = document.createElement("canvas");
      item.preview.width = Math.round(bitmap.width / width);
      item.preview.height = Math.round(bitmap.height / height);
    }
    const { preview } = item;
    const [x, y] = [left * preview.width, top * preview.height];
    preview.getContext("2d")!.drawImage(bitmap, x, y, width * preview.width, height * preview.height);
    this.#changed();
  }

  async #thumbnail(item: Item): Promise<void> {
    if (!this.items.includes(item)) return;
    item.thumbnail = await drawThumbnail(item.file).catch(() => null);
    if (item.thumbnail === null) await this.#check(item);
    this.#changed();
  }

  /** Finds out at once whether what the browser does not show can be read at all, whoever's turn it is. */
  async #check(item: Item): Promise<void> {
    try {
      (await (await this.#ready()).read(item.file, { name: item.name })).close();
    } catch (error) {
      if (item.state.kind === "waiting" && this.broken === null) item.state = this.#failed(item, error);
    }
  }

  /** Why nothing works at all is said once, not of each photo. */
  #failed({ facts }: Item, error: unknown): Item["state"] {
    const broken = this.broken !== null;
    const message = broken ? "Nothing here can work on it, as said above." : oneLine(error);
    return { kind: "failed", message, unreadable: facts === null && !broken };
  }

  #ready(): Promise<Upscaler> {
    if (this.#upscaler !== null) return this.#upscaler;
    const { backend } = this.#settings();
    const onDevice = (device: DeviceDescription): void => {
      this.device = device;
      this.#changed();
    };
    const opening = this.#open({ backend, onDevice });
    this.#upscaler = opening;
    // First of all who waits for it: whatever comes of it is known to the others then.
    opening.then(
      ({ device }) => {
        this.broken = null;
        onDevice(device);
      },
      (error: unknown) => {
        this.broken = oneLine(error);
        // Another attempt may find the network back.
        if (this.#upscaler === opening) this.#upscaler = null;
        this.#changed();
      },
    );
    return opening;
  }

  #changed(): void {
    this.dispatchEvent(new Event("change"));
  }
}
