import type { Image } from "../src/index.ts";

/** The synthetic pair of spec/checks.md: waves, 200 x 210 pixels. */
export function waves(amplitude: number, phase: number): Image & { readonly data: Uint8Array } {
  const [width, height] = [210, 200];
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const c = i % 3;
    const x = Math.floor(i / 3) % width;
    const y = Math.floor(i / 3 / width);
    const value =
      127.5 +
      amplitude * Math.sin(0.3 * x + 0.2 * y + c + phase) * Math.cos(0.15 * x - 0.25 * y) +
      20 * Math.sin(0.333 * x + 0.697 * y + c);
    return Math.min(255, Math.max(0, Math.round(value)));
  });
  return { width, height, data };
}
