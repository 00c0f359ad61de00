import { expect, it } from "vitest";
import { clampViewport, fit, panBy, toPane, toPhoto, visiblePart, zoomAt } from "../../src/page/viewport.ts";

const photo = { width: 400, height: 300 };
const pane = { width: 200, height: 200 };

it("begins with the whole photo in the middle", () => {
  const view = fit(photo, pane);
  expect(view).toEqual({ x: 200, y: 150, zoom: 0.5 });
  expect(visiblePart(view, photo, pane)).toEqual({ x: 0, y: 0, width: 400, height: 300 });
});

it("keeps the point under the cursor when it zooms", () => {
  const at = { x: 150, y: 120 };
  const before = zoomAt(fit(photo, pane), 4, { x: 100, y: 100 }, photo, pane);
  const under = toPhoto(before, at, pane);
  const after = toPane(zoomAt(before, 1.5, at, photo, pane), under, pane);
  expect(after.x).toBeCloseTo(at.x);
  expect(after.y).toBeCloseTo(at.y);
});

it("is held at the photo's edges, and at the smallest and largest zoom", () => {
  const close = zoomAt(fit(photo, pane), 4, { x: 100, y: 100 }, photo, pane);
  expect(close.zoom).toBe(2);
  expect(panBy(close, 1e6, -1e6, photo, pane)).toEqual({ x: 50, y: 250, zoom: 2 });
  expect(zoomAt(close, 1e-6, { x: 0, y: 0 }, photo, pane)).toEqual(fit(photo, pane));
  expect(zoomAt(close, 1e6, { x: 0, y: 0 }, photo, pane).zoom).toBe(32);
  // A photo smaller than the pane's pixels over 32 is still shown whole.
  expect(clampViewport({ x: 0, y: 0, zoom: 1 }, { width: 2, height: 2 }, pane)).toEqual({ x: 1, y: 1, zoom: 100 });
});

it("sees a part", () => {
  const part = visiblePart({ x: 50, y: 50, zoom: 2 }, photo, pane);
  expect(part).toEqual({ x: 0, y: 0, width: 100, height: 100 });
});
