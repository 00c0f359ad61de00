/**
 * The upscaler for other pages: `openUpscaler`, and where there are elements, `<deplsr-upscaler>`.
 *
 * @packageDocumentation
 */
export * from "./client/api.ts";
export { openUpscaler } from "./client/upscaler.ts";

// Node imports this too, for types and tests of others.
if ("customElements" in globalThis) await import("./element/upscaler-element.ts");
