/** What a page and its worker say to each other. */
import type {
  AttentionMap,
  CropRequest,
  DeviceDescription,
  EnlargeSettings,
  OpenPhoto,
  PreviewPart,
  ResultFormat,
  SeenDegradation,
  UpscalerOptions,
} from "./api.ts";

/** What a page knows of a photo in the worker. */
export interface PhotoFacts
  extends Pick<OpenPhoto, "name" | "width" | "height" | "depth" | "transparent" | "format" | "notes"> {
  readonly photo: number;
  /** Bytes that a result may take. */
  readonly room: number;
}

/** What a page knows of a result in the worker. */
export interface ResultFacts {
  readonly result: number;
  readonly seconds: number;
}

/** What a page asks for, and what it is answered. */
export interface Calls {
  open(what: { readonly backend: NonNullable<UpscalerOptions["backend"]> }): DeviceDescription;
  read(what: { readonly file: Blob; readonly name: string }): PhotoFacts;
  diagnose(what: { readonly photo: number }): readonly SeenDegradation[];
  attention(what: { readonly photo: number }): AttentionMap;
  enlarge(what: { readonly photo: number; readonly settings: EnlargeSettings; readonly preview: boolean }): ResultFacts;
  crop(what: { readonly result: number; readonly part: CropRequest }): ImageBitmap;
  encode(what: { readonly result: number; readonly format: ResultFormat; readonly quality?: number }): Blob;
  closePhoto(what: { readonly photo: number }): void;
  closeResult(what: { readonly result: number }): void;
}

/** The name of what can be asked for. */
export type CallName = keyof Calls;

/** What is asked, as it goes with a name. */
export type Asked<Name extends CallName> = Parameters<Calls[Name]>[0];

/** What is answered. */
export type Answered<Name extends CallName> = ReturnType<Calls[Name]>;

/** From the page: a call with a number of its own, or the end of one. */
export type Request =
  | { [Name in CallName]: { readonly id: number; readonly call: Name; readonly what: Asked<Name> } }[CallName]
  | { readonly id: number; readonly abort: true };

/** From the worker: how a call went or goes, or what it works on now. */
export type Reply =
  | { readonly id: number; readonly answer: Answered<CallName> }
  | { readonly id: number; readonly error: ErrorFacts }
  | { readonly id: number; readonly progress: readonly [done: number, total: number, secondsLeft: number | null] }
  | { readonly id: number; readonly tile: PreviewPart }
  | { readonly device: DeviceDescription };

/** An error on its way from the worker. */
export interface ErrorFacts {
  readonly name: string;
  readonly message: string;
}
