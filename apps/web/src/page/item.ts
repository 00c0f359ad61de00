/** A photo in the queue. */
import type { AttentionMap, EnlargedPhoto, OpenPhoto, SeenDegradation } from "../client/api.ts";
import type { Settings } from "./settings.ts";
import type { Size } from "./viewport.ts";

/** Where a photo is on its way. */
export type State =
  | { readonly kind: "waiting" | "reading" | "seeing" | "done" | "cancelled" }
  | { readonly kind: "enlarging"; readonly done: number; readonly total: number; readonly secondsLeft: number | null }
  | {
      readonly kind: "failed";
      readonly message: string;
      /** Whether nothing can be shown of its file. */
      readonly unreadable: boolean;
    };

/** What is known of a photo from its file. */
export type Facts = Pick<OpenPhoto, "width" | "height" | "depth" | "transparent" | "format" | "notes">;

/** A photo, from the drop to the result. */
export class Item {
  readonly name: string;
  readonly file: Blob;
  /** The file for an `<img>`; good until the item is closed. */
  readonly url: string;
  state: State = { kind: "waiting" };
  facts: Facts | null = null;
  seen: readonly SeenDegradation[] | null = null;
  attention: AttentionMap | null = null;
  result: EnlargedPhoto | null = null;
  /** How large the result is or will be; null until its turn comes. */
  size: Size | null = null;
  /** With which the result was made, or is being made. */
  settings: Settings | null = null;
  /** The result as far as it has come, in a size for the screen. */
  preview: HTMLCanvasElement | null = null;
  /** A small picture of it; null until it is made, and of a file that shows nothing. */
  thumbnail: HTMLCanvasElement | null = null;

  constructor(file: Blob, name: string) {
    this.file = file;
    this.name = name;
    this.url = URL.createObjectURL(file);
  }

  /** Whether it is on its way, or will be. */
  get pending(): boolean {
    return this.working || this.state.kind === "waiting";
  }

  /** Whether it is being worked on. */
  get working(): boolean {
    const { kind } = this.state;
    return kind === "reading" || kind === "seeing" || kind === "enlarging";
  }

  /** Whether its file could not be read at all. */
  get unreadable(): boolean {
    return this.state.kind === "failed" && this.state.unreadable;
  }

  /** Gives up a result, before another is made. */
  clearResult(): void {
    this.result?.close();
    this.result = null;
    this.preview = null;
  }

  close(): void {
    this.clearResult();
    URL.revokeObjectURL(this.url);
  }
}

/** Sides of thumbnails, in pixels; shown at half of it. */
const THUMBNAIL = 128;

/** The middle of a photo as a small square. @throws where the browser cannot show the file */
export async function drawThumbnail(file: Blob): Promise<HTMLCanvasElement> {
  const whole = await createImageBitmap(file);
  try {
    const side = Math.min(whole.width, whole.height);
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = THUMBNAIL;
    const context = canvas.getContext("2d")!;
    context.imageSmoothingQuality = "high";
    context.drawImage(
      whole,
      (whole.width - side) / 2,
      (whole.height - side) / 2,
      side,
      side,
      0,
      0,
      THUMBNAIL,
      THUMBNAIL,
    );
    return canvas;
  } finally {
    whole.close();
  }
}
