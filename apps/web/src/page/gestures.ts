/** Wheel, drag, pinch and double click on an element, as changes of what is seen. */
import type { Point } from "./viewport.ts";

/** What gestures ask for; places from the element's top left, in CSS pixels. */
export interface GestureTarget {
  zoomAt(factor: number, at: Point): void;
  panBy(dx: number, dy: number): void;
  toggleAt(at: Point): void;
}

/** How far a notch of a wheel zooms. */
const WHEEL_STEP = 1.0015;

/** Listens on an element for as long as it lives. */
export function listen(element: HTMLElement, target: GestureTarget): void {
  const pointers = new Map<number, Point>();
  const place = ({ clientX, clientY }: MouseEvent): Point => {
    const { left, top } = element.getBoundingClientRect();
    return { x: clientX - left, y: clientY - top };
  };
  element.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const pixels = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * 33 : event.deltaY;
      // A pinch on a trackpad comes as a wheel with Ctrl, in small steps.
      target.zoomAt(WHEEL_STEP ** (-pixels * (event.ctrlKey ? 6 : 1)), place(event));
    },
    { passive: false },
  );
  element.addEventListener("dblclick", (event) => target.toggleAt(place(event)));
  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    element.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, place(event));
  });
  element.addEventListener("pointermove", (event) => {
    const from = pointers.get(event.pointerId);
    if (from === undefined) return;
    const to = place(event);
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    pointers.set(event.pointerId, to);
    if (other === undefined) return target.panBy(to.x - from.x, to.y - from.y);
    const middle = { x: (to.x + other.x) / 2, y: (to.y + other.y) / 2 };
    target.panBy((to.x - from.x) / 2, (to.y - from.y) / 2);
    target.zoomAt(distance(to, other) / Math.max(1, distance(from, other)), middle);
  });
  for (const type of ["pointerup", "pointercancel"] as const) {
    element.addEventListener(type, (event) => pointers.delete(event.pointerId));
  }
}

function distance(a: Point, b: Point): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}
