/**
 * An upscaler that enlarges as canvases do: what the page does with one can be tried in moments. A file that no browser shows is refused as
 * the real one refuses it.
 */
import type { EnlargeSettings, OpenUpscaler, ResultPlan } from "../src/client/api.ts";

const SEEN = [
  { kind: "blur", level: "sigma 1.5", severity: 0.45, certainty: 0.81 },
  { kind: "gaussian", level: "sigma 5", severity: 0.15, certainty: 0.62 },
  { kind: "poisson", level: "scale 0.2", severity: 0.05, certainty: 0.93 },
  { kind: "jpeg", level: "quality 40", severity: 0.75, certainty: 0.7 },
  { kind: "ringing", level: "none", severity: 0, certainty: 0.97 },
];

/** How long a tile takes, in ms; with `held` none, but the second half of them waits for the window's event `go-on`. */
const TIME = new URLSearchParams(location.search).get("tile") ?? "60";
const goneOn = new Promise((resolve) => addEventListener("go-on", resolve, { once: true }));
const TILE = 64;

export const openUpscaler: OpenUpscaler = async () => ({
  device: {
    backend: "wasm",
    name: "WebAssembly, 2 threads",
    threads: 2,
    reason: "the browser offers no GPU",
    advice: "There may be one all the same: see whether hardware acceleration is on in the browser's settings.",
  },
  close() {},
  async read(file, { name = "photo", signal } = {}) {
    const bitmap = await createImageBitmap(file).catch(() => {
      throw new Error("it is not a photo that can be read here: choose a JPEG, PNG, WebP or AVIF");
    });
    signal?.throwIfAborted();
    const { width, height } = bitmap;
    const plan = (settings: EnlargeSettings): ResultPlan => {
      const scale = settings.width
        ? settings.width / width
        : settings.height
          ? settings.height / height
          : (settings.scale ?? 2);
      const refused = width * scale > 20_000 ? "the result would be too large for this browser" : null;
      return {
        width: Math.round(width * scale),
        height: Math.round(height * scale),
        refused: { png: refused, jpeg: refused, webp: refused },
      };
    };
    return {
      name,
      width,
      height,
      depth: 8,
      transparent: false,
      format: file.type.replace("image/", ""),
      notes: [],
      plan,
      close() {},
      diagnose: async () => SEEN,
      attention: async () => ({
        width: 14,
        height: 14,
        values: Float32Array.from({ length: 196 }, (_, i) => Math.exp(-(((i % 14) - 9) ** 2 + (i / 14 - 5) ** 2) / 8)),
      }),
      async enlarge(settings, { signal, onProgress, onTile } = {}) {
        const planned = plan(settings);
        const whole = new OffscreenCanvas(planned.width, planned.height);
        const context = whole.getContext("2d")!;
        context.imageSmoothingQuality = "high";
        context.filter = "contrast(1.08) saturate(1.05)";
        context.drawImage(bitmap, 0, 0, planned.width, planned.height);
        const [columns, rows] = [Math.ceil(width / TILE), Math.ceil(height / TILE)];
        const started = performance.now();
        for (let tile = 0; tile < columns * rows; tile++) {
          if (TIME !== "held") await new Promise((resolve) => setTimeout(resolve, Number(TIME)));
          else if (2 * tile >= columns * rows) await goneOn;
          signal?.throwIfAborted();
          const [x, y] = [
            ((tile % columns) * planned.width) / columns,
            (Math.floor(tile / columns) * planned.height) / rows,
          ];
          const [w, h] = [planned.width / columns, planned.height / rows];
          onTile?.({
            bitmap: await createImageBitmap(whole, x, y, w, h),
            left: x / planned.width,
            top: y / planned.height,
            width: 1 / columns,
            height: 1 / rows,
          });
          const left = ((performance.now() - started) / 1000 / (tile + 1)) * (columns * rows - tile - 1);
          onProgress?.(tile + 1, columns * rows, tile > 1 ? left : null);
        }
        return {
          ...planned,
          seconds: (performance.now() - started) / 1000,
          crop: (part) =>
            createImageBitmap(whole, part.left, part.top, part.width, part.height, {
              resizeWidth: part.outWidth,
              resizeHeight: part.outHeight,
            }),
          encode: (format, { quality = 90 } = {}) =>
            whole.convertToBlob({ type: `image/${format}`, quality: quality / 100 }),
          close() {},
        };
      },
    };
  },
});
