/** What a page asks of the upscaler: a photo in, what is wrong with it, a better one out. All work is done in a worker. */

/** How an upscaler is opened. */
export interface UpscalerOptions {
  /** Where the worker, the threads and the models lie. Default: beside this module. */
  readonly base?: string | URL;
  /** Default "auto": WebGPU where the browser has a hardware adapter, else WebAssembly. */
  readonly backend?: "auto" | "webgpu" | "wasm";
  /** Told whenever another device takes over, after one was lost or had no memory left. */
  readonly onDevice?: (device: DeviceDescription) => void;
}

/** What the work is done on. */
export interface DeviceDescription {
  readonly backend: "webgpu" | "wasm";
  /** For people: "NVIDIA ampere", "WebAssembly, 8 threads". */
  readonly name: string;
  /** Of WebAssembly; 1 with WebGPU. */
  readonly threads: number;
  /** Why it is not what "auto" would rather have, in one line; null where it is. */
  readonly reason: string | null;
  /** What can be done about it, in sentences; null where nothing can, or has to be. */
  readonly advice: string | null;
}

/** A photo that was read. */
export interface OpenPhoto {
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly depth: 8 | 16;
  readonly transparent: boolean;
  /** What its file is: "jpeg", "png" … */
  readonly format: string;
  /** What somebody should know: further frames, a damaged end; a line each. */
  readonly notes: readonly string[];
  /** The five bars. */
  diagnose(options?: Abortable): Promise<readonly SeenDegradation[]>;
  /** Where the SRCLIP looked. */
  attention(options?: Abortable): Promise<AttentionMap>;
  /** How large a result would be, and which files it fits into. @throws RangeError naming a setting that does not fit */
  plan(settings: EnlargeSettings): ResultPlan;
  /** A better photo. @throws Error with one line for people; the signal's reason once it is aborted */
  enlarge(settings: EnlargeSettings, options?: EnlargeOptions): Promise<EnlargedPhoto>;
  /** Frees what it holds, and ends its work. */
  close(): void;
}

/** Ends work. */
export interface Abortable {
  readonly signal?: AbortSignal;
}

/** What is seen of one kind of degradation. */
export interface SeenDegradation {
  /** `blur`, `gaussian`, `poisson`, `jpeg` or `ringing`. */
  readonly kind: string;
  /** For people: "sigma 1.5", "quality 50". */
  readonly level: string;
  /** How bad that is, from 0, none, to 1, the worst that was learned. */
  readonly severity: number;
  /** The probability of the level, in [0, 1]. */
  readonly certainty: number;
}

/** A heat map over the whole photo. */
export interface AttentionMap {
  readonly width: number;
  readonly height: number;
  /** `height * width` values in [0, 1], row by row. */
  readonly values: Float32Array;
}

/** What can be set. At most one of scale on the one hand, width and height on the other. */
export interface EnlargeSettings {
  /** Default 2. */
  readonly scale?: number;
  readonly width?: number;
  readonly height?: number;
  /** 0 … 1, see `RestoreOptions.strength`. Default 1. */
  readonly strength?: number;
  readonly colour?: "keep" | "free";
  /** Side of tiles in pixels of the photo. Default "auto". */
  readonly tile?: number | "auto";
}

/** What an enlarging tells on its way. */
export interface EnlargeOptions extends Abortable {
  /** After each tile. `secondsLeft` is null until it can be told. */
  readonly onProgress?: (done: number, total: number, secondsLeft: number | null) => void;
  /** A part of the result, as a picture of at most the preview's size. The receiver closes the bitmap. */
  readonly onTile?: (part: PreviewPart) => void;
}

/** A part of the preview: a bitmap, and where it lies, as shares of the whole in [0, 1]. */
export interface PreviewPart {
  readonly bitmap: ImageBitmap;
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** The formats of results. */
export type ResultFormat = "png" | "jpeg" | "webp";

/** What a result would be. */
export interface ResultPlan {
  readonly width: number;
  readonly height: number;
  /** For each format null where the result fits, else why it does not. All of them: then there is no room for the result at all. */
  readonly refused: Readonly<Record<ResultFormat, string | null>>;
}

/** A result. It lies in the worker, or on disk where it is large. */
export interface EnlargedPhoto extends ResultPlan {
  /** How long it took, in seconds. */
  readonly seconds: number;
  /** A part of it in a size for the screen; the photo's own colour profile is converted to the screen's. The receiver closes the bitmap. */
  crop(part: CropRequest): Promise<ImageBitmap>;
  /** The file, metadata kept. @param quality 1 to 100, of jpeg (default 95) and webp (default 90) */
  encode(format: ResultFormat, options?: { readonly quality?: number } & Abortable): Promise<Blob>;
  close(): void;
}

/** A rectangle in pixels of a picture, and the pixels it is shown in. */
export interface CropRequest {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  readonly outWidth: number;
  readonly outHeight: number;
}

/** The upscaler. */
export interface Upscaler {
  readonly device: DeviceDescription;
  /** Reads a photo. @throws Error with one line for people: what it is instead, and what to do */
  read(file: Blob, options?: { readonly name?: string } & Abortable): Promise<OpenPhoto>;
  close(): void;
}

/** Opens an upscaler: starts the worker, chooses a device, loads the models. @throws Error with one line for people */
export type OpenUpscaler = (options?: UpscalerOptions) => Promise<Upscaler>;
