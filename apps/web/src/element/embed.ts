/** The example page: an image, a canvas and an address. */
import fawn from "@deplsr/models/photographs/fawn.jpg?url";
import type { UpscalerElement } from "./upscaler-element.ts";

const find = <T extends Element>(selector: string): T => document.querySelector<T>(selector)!;

// By its address here, which the server of sources has as well as a build.
find<HTMLImageElement>("#image img").src = fawn;

const context = find<HTMLCanvasElement>("#canvas canvas").getContext("2d")!;
const gradient = context.createLinearGradient(0, 0, 160, 120);
gradient.addColorStop(0, "#0b6b63");
gradient.addColorStop(1, "#f4c95d");
context.fillStyle = gradient;
context.fillRect(0, 0, 160, 120);
context.fillStyle = "#ffffff";
context.font = "600 36px system-ui, sans-serif";
context.fillText("canvas", 18, 72);

await import("../index.ts");

const address = find<HTMLInputElement>("#address");
const element = find<UpscalerElement>("#url");
address.value = new URL(fawn, document.baseURI).href;
element.src = address.value;
address.addEventListener("change", () => {
  element.src = address.value;
});
