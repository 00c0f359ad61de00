import type { ConvGeometry } from "../../../backend.ts";

/** A window that looks no further than the vectors beside its own. */
export interface NearWindow {
  readonly kh: number;
  readonly kw: number;
  /** Columns that the window reaches to the left. */
  readonly left: number;
}

/** The window, where an output vector needs no more than its own and both neighbours, and the code stays short. */
export function nearWindow(geometry: ConvGeometry): NearWindow | undefined {
  const {
    kernel: [kh, kw],
    stride,
    dilation,
    padding,
  } = geometry;
  const plain = [...stride, ...dilation].every((step) => step === 1);
  const near = padding[1] >= 0 && padding[1] <= 4 && kw - 1 - padding[1] >= 0 && kw - 1 - padding[1] <= 4;
  if (!plain || !near || kh * kw > 25) return undefined;
  return { kh, kw, left: padding[1] };
}

/** WGSL for the vector that lies `shift` columns right of `here`, out of `before`, `here` and `after`. */
export function shifted(shift: number): string {
  const parts = ["before", "here", "after"].flatMap((name) => [..."xyzw"].map((component) => `${name}.${component}`));
  return shift === 0 ? "here" : `vec4f(${parts.slice(4 + shift, 8 + shift).join(", ")})`;
}

/** Loads row `iy` of the plane at `origin` around vector `col`; zero outside the image. */
export function loadRow({ kw, left }: NearWindow): string {
  const neighbour = (needed: boolean, inside: string, at: string): string =>
    needed ? `select(vec4f(), x[${at}], inside && ${inside})` : "vec4f()";
  return `let inside = iy >= 0 && iy < i32(u.height);
      let at = origin + u32(max(iy, 0)) * u.cols + col;
      let here = select(vec4f(), x[at], inside && col < u.cols);
      let before = ${neighbour(left > 0, "col > 0u", "at - 1u")};
      let after = ${neighbour(kw - 1 - left > 0, "col + 1u < u.cols", "at + 1u")};`;
}

/** How planes meet: output channel c of an image reads `terms` input channels from `⌊c / divide⌋ · terms` on. */
export const PLANES = { inChannels: "u32", channels: "u32", divide: "u32", terms: "u32" } as const;

/** One of the two passes over images: forward, or the input gradient, which swaps the sides and mirrors the windows. */
export interface Pass {
  readonly geometry: ConvGeometry;
  readonly divide: number;
  readonly terms: number;
  readonly reversed: boolean;
}
