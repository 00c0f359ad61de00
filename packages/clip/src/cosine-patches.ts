import { assign, cat, noGrad, scope, slice } from "@deplsr/tensor";
import type { VisionTransformer } from "./vision.ts";

/** Grey, and two differences of colours, orthonormal. */
const COLOURS: readonly (readonly number[])[] = [
  [1, 1, 1].map((x) => x / Math.sqrt(3)),
  [1, -1, 0].map((x) => x / Math.sqrt(2)),
  [1, 1, -2].map((x) => x / Math.sqrt(6)),
];

/** What the filters of frequency 1 are multiplied by: so loud that positions, which are added to them, do not drown them. */
const GAIN = 4;

/** Frequencies down and across, in half periods a patch, and the colour. */
type Wave = readonly [down: number, across: number, colour: number];

/**
 * Starts the patch filters of an image tower (`conv1`) as the cosine transform (DCT-II) of patches, each multiplied by its frequency: the
 * amplitudes of natural images fall off as its inverse, so that all filters answer about as loudly. Random filters answer to brightness
 * alone; a tower that shall tell blur, noise and compression apart, which show at high frequencies, spends its first thousands of steps on
 * finding those.
 *
 * The waves are grey ones, the lowest first, then coloured ones. Filters beyond the `3·p²` of patches of p x p stay as they are.
 *
 * @see https://doi.org/10.1364/JOSAA.4.002379 (Field 1987, the spectrum of natural images)
 */
export function startFromCosines(tower: VisionTransformer): void {
  const { weight } = tower.conv1;
  const [width, channels, p] = weight.shape as [number, number, number, number];
  const filters = waves(p)
    .slice(0, width)
    .map((wave) => filter(wave, p));
  noGrad(() =>
    scope(() => {
      const cosines = weight.device.tensor(filters.flat(), [filters.length, channels, p, p]);
      assign(weight, filters.length < width ? cat([cosines, slice(weight, [[filters.length, width]])], 0) : cosines);
    }),
  );
}

/** All waves of patches p x p. */
function waves(p: number): Wave[] {
  const frequencies = Array.from({ length: p * p }, (_, i) => [Math.floor(i / p), i % p] as const);
  frequencies.sort((a, b) => Math.hypot(...a) - Math.hypot(...b));
  const of = (...colours: number[]): Wave[] => frequencies.flatMap(([v, u]) => colours.map((c): Wave => [v, u, c]));
  return [...of(0), ...of(1, 2)];
}

/** The 3·p·p weights of a wave. */
function filter([down, across, colour]: Wave, p: number): number[] {
  // Differences of colours are half as strong as brightness.
  const gain = GAIN * Math.max(Math.hypot(down, across), 0.25) * (colour === 0 ? 1 : 2);
  const cosine = (k: number, n: number): number =>
    Math.sqrt((k === 0 ? 1 : 2) / p) * Math.cos((Math.PI * k * (n + 0.5)) / p);
  return COLOURS[colour]!.flatMap((share) =>
    Array.from({ length: p * p }, (_, i) => gain * share * cosine(down, Math.floor(i / p)) * cosine(across, i % p)),
  );
}
