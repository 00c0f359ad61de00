/** Which part of a photo is seen, and how large: pure arithmetic. Lengths are CSS pixels of the screen and pixels of the photo. */

/** A width and a height. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** A place. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** What is seen: the photo's point in the middle of the pane, and the pixels of the screen for one of the photo. */
export interface Viewport extends Point {
  readonly zoom: number;
}

/** How many pixels of the screen one of the photo takes at most. */
const LARGEST_ZOOM = 32;

/** The whole photo in the middle of a pane. */
export function fit(photo: Size, pane: Size): Viewport {
  return { x: photo.width / 2, y: photo.height / 2, zoom: fitZoom(photo, pane) };
}

/** Nearest to a viewport, one that shows no more than the whole photo and as little as possible beside it. */
export function clampViewport({ x, y, zoom }: Viewport, photo: Size, pane: Size): Viewport {
  const least = fitZoom(photo, pane);
  const clamped = Math.min(Math.max(zoom, least), Math.max(LARGEST_ZOOM, least));
  return {
    x: clampCentre(x, photo.width, pane.width / clamped),
    y: clampCentre(y, photo.height, pane.height / clamped),
    zoom: clamped,
  };
}

/** Larger by a factor, the photo's point under `at` (from the pane's top left) staying where it is. */
export function zoomAt(view: Viewport, factor: number, at: Point, photo: Size, pane: Size): Viewport {
  const under = toPhoto(view, at, pane);
  const zoom = clampViewport({ ...view, zoom: view.zoom * factor }, photo, pane).zoom;
  const x = under.x - (at.x - pane.width / 2) / zoom;
  const y = under.y - (at.y - pane.height / 2) / zoom;
  return clampViewport({ x, y, zoom }, photo, pane);
}

/** Dragged by a distance on the screen. */
export function panBy(view: Viewport, dx: number, dy: number, photo: Size, pane: Size): Viewport {
  return clampViewport({ ...view, x: view.x - dx / view.zoom, y: view.y - dy / view.zoom }, photo, pane);
}

/** The photo's point at a place in the pane. */
export function toPhoto(view: Viewport, at: Point, pane: Size): Point {
  return { x: view.x + (at.x - pane.width / 2) / view.zoom, y: view.y + (at.y - pane.height / 2) / view.zoom };
}

/** The pane's place of a point of the photo. */
export function toPane(view: Viewport, of: Point, pane: Size): Point {
  return { x: (of.x - view.x) * view.zoom + pane.width / 2, y: (of.y - view.y) * view.zoom + pane.height / 2 };
}

/** The part of the photo that is in the pane; null where none is. */
export function visiblePart(view: Viewport, photo: Size, pane: Size): (Point & Size) | null {
  const from = toPhoto(view, { x: 0, y: 0 }, pane);
  const to = toPhoto(view, { x: pane.width, y: pane.height }, pane);
  const x = Math.max(0, from.x);
  const y = Math.max(0, from.y);
  const width = Math.min(photo.width, to.x) - x;
  const height = Math.min(photo.height, to.y) - y;
  return width > 0 && height > 0 ? { x, y, width, height } : null;
}

function fitZoom(photo: Size, pane: Size): number {
  return Math.min(pane.width / photo.width, pane.height / photo.height);
}

/** In the middle where the pane shows all of the side, else no further than the edge. @param seen the photo's pixels across the pane */
function clampCentre(at: number, side: number, seen: number): number {
  return seen >= side ? side / 2 : Math.min(Math.max(at, seen / 2), side - seen / 2);
}
