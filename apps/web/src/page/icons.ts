/** Line drawings on a square of 24. */
import { html, type TemplateResult } from "lit";

const icon = (path: string): TemplateResult =>
  html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${path} /></svg>`;

export const ADD = icon("M12 5v14M5 12h14");
export const CAMERA = icon("M4 8h3l2-3h6l2 3h3v11H4zM12 16.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7z");
export const CLOSE = icon("M6 6l12 12M18 6L6 18");
export const DIFFERENCE = icon("M4 4h11v11H4zM9 9h11v11H9z");
export const DOWNLOAD = icon("M12 4v11m-5-5l5 5 5-5M5 20h14");
export const EYE = icon(
  "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zM12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6z",
);
export const FIT = icon("M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5");
export const MINUS = icon("M5 12h14");
export const MOON = icon("M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z");
export const PHOTOS = icon("M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9.5h.01");
export const SIDE = icon("M4 5h16v14H4zM12 5v14");
export const SLIDER = icon("M12 3v18M8 9l-3 3 3 3M16 9l3 3-3 3");
export const SUN = icon(
  "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4",
);
export const SYSTEM = icon("M3.5 5h17v11h-17zM9 20h6M12 16v4");
export const WRONG = icon("M12 8v5M12 16.5h.01M12 3.5l9.5 16.5h-19z");
