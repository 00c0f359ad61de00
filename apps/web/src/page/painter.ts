/** Draws a photo and what became of it. */
import type { AttentionMap } from "../client/api.ts";
import { type Point, type Size, toPane, type Viewport } from "./viewport.ts";

/** What a pane shows: one of both pictures, the one left and the other right of a line, or by how much they differ. */
export type Show = "before" | "after" | "split" | "difference";

/** What there is to draw. */
export interface Layers {
  /** The photo's size, whose pixels all places are in. */
  readonly photo: Size;
  readonly before: CanvasImageSource | null;
  /** The result in a size for the screen, as far as it has come. */
  readonly after: CanvasImageSource | null;
  /** The part of the result that is seen, as fine as the screen is. */
  readonly detail: { readonly bitmap: ImageBitmap; readonly part: Point & Size } | null;
  readonly attention: CanvasImageSource | null;
}

/** A part of the canvas, in CSS pixels. */
export interface Pane extends Size {
  readonly left: number;
  readonly top: number;
  readonly show: Show;
}

/** How many times a difference is doubled, so that eyes see it. */
const DOUBLINGS = 3;

/** Draws panes. @param split where before ends and after begins, as a share of the pane's width */
export function paint(
  context: CanvasRenderingContext2D,
  panes: readonly Pane[],
  view: Viewport,
  layers: Layers,
  { density, split }: { readonly density: number; readonly split: number },
): void {
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, context.canvas.width, context.canvas.height);
  for (const pane of panes) {
    clipped(context, density, pane, () => {
      // From here on a unit is a pixel of the photo.
      const origin = toPane(view, { x: 0, y: 0 }, pane);
      context.translate(pane.left + origin.x, pane.top + origin.y);
      context.scale(view.zoom, view.zoom);
      // Sharp pixels where somebody looks at single ones.
      context.imageSmoothingEnabled = view.zoom < 12;
      context.imageSmoothingQuality = "high";
      if (pane.show !== "difference") {
        if (pane.show !== "after" || layers.after === null) drawBefore(context, layers);
        else drawBoth(context, layers);
        if (pane.show === "split") inRight(context, pane, view, split, () => drawBoth(context, layers));
        if (layers.attention !== null) draw(context, layers.attention, layers.photo);
      } else {
        context.fillRect(0, 0, layers.photo.width, layers.photo.height);
        drawBefore(context, layers);
        context.globalCompositeOperation = "difference";
        drawBoth(context, layers);
        context.setTransform(1, 0, 0, 1, 0, 0);
        context.globalCompositeOperation = "lighter";
        for (let i = 0; i < DOUBLINGS; i++) context.drawImage(context.canvas, 0, 0);
      }
    });
  }
}

/** Where attention lies, as a picture: transparent where there is none, warm where there is most. */
export function drawAttention({ width, height, values }: AttentionMap): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  for (const [i, value] of values.entries()) {
    image.data.set([255, 210 - 150 * value, 40, 205 * value], 4 * i);
  }
  canvas.getContext("2d")!.putImageData(image, 0, 0);
  return canvas;
}

function drawBefore(context: CanvasRenderingContext2D, { before, photo }: Layers): void {
  if (before !== null) draw(context, before, photo);
}

/** The photo, over it what there is of the result. */
function drawBoth(context: CanvasRenderingContext2D, layers: Layers): void {
  // Two times the same would be no difference.
  if (context.globalCompositeOperation !== "difference") drawBefore(context, layers);
  if (layers.detail === null) {
    if (layers.after !== null) draw(context, layers.after, layers.photo);
    return;
  }
  const { bitmap, part } = layers.detail;
  if (context.globalCompositeOperation !== "difference" && layers.after !== null)
    draw(context, layers.after, layers.photo);
  context.drawImage(bitmap, part.x, part.y, part.width, part.height);
}

function draw(context: CanvasRenderingContext2D, picture: CanvasImageSource, { width, height }: Size): void {
  context.drawImage(picture, 0, 0, width, height);
}

/** Draws right of the line only. The context is in pixels of the photo. */
function inRight(context: CanvasRenderingContext2D, pane: Pane, view: Viewport, split: number, work: () => void): void {
  const origin = toPane(view, { x: 0, y: 0 }, pane);
  const left = (split * pane.width - origin.x) / view.zoom;
  context.save();
  context.beginPath();
  context.rect(left, -origin.y / view.zoom, ((1 - split) * pane.width) / view.zoom, pane.height / view.zoom);
  context.clip();
  work();
  context.restore();
}

/** Draws in a pane only, in CSS pixels. */
function clipped(
  context: CanvasRenderingContext2D,
  density: number,
  { left, top, width, height }: Pane,
  work: () => void,
): void {
  context.save();
  context.setTransform(density, 0, 0, density, 0, 0);
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  work();
  context.restore();
}
