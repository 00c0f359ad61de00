/** Drawing blur kernels (spec: degradation, section 1; after Real-ESRGAN, arXiv 2107.10833). */
import type { Rng } from "@deplsr/tensor";
import type { BlurKernelSpec } from "./blur-kernel.ts";
import { choose, type OptionChecks, type Range, uniform } from "./chance.ts";

/** The families of blur kernels, without the sinc filter, which is drawn by a probability of its own. */
export type BlurKernelType = Exclude<BlurKernelSpec["type"], "sinc">;

/** What a blur is drawn from, besides its size and its spread. */
export interface BlurOptions {
  /** Families and their probabilities, which sum to 1. */
  readonly kernelList: readonly BlurKernelType[];
  readonly kernelProb: readonly number[];
  /** Probability of a sinc filter instead. */
  readonly sincProb: number;
  /** Exponents of the generalised and of the plateau kernels, on both sides of 1. */
  readonly betagRange: Range;
  readonly betapRange: Range;
}

/**
 * Draws a kernel of `size` pixels. A sinc filter has a cutoff in [π/3, π), or from π/5 on where it is wide. The other families: standard
 * deviations within `sigma`, in pixels, of both axes for the anisotropic ones; rotation in [−π, π); exponent below 1 or above 1 with equal
 * chances.
 */
export function drawBlur(rng: Rng, size: number, sigma: Range, options: BlurOptions): BlurKernelSpec {
  if (rng.uniform() < options.sincProb) {
    return { type: "sinc", size, cutoff: uniform(rng, [size < 13 ? Math.PI / 3 : Math.PI / 5, Math.PI]) };
  }
  const type = choose(rng, options.kernelList, options.kernelProb);
  const sigmaX = uniform(rng, sigma);
  const beta = (range: Range): number => uniform(rng, rng.uniform() < 0.5 ? [range[0], 1] : [1, range[1]]);
  if (type === "iso") return { type, size, sigma: sigmaX };
  if (type === "generalized_iso") return { type, size, sigma: sigmaX, beta: beta(options.betagRange) };
  if (type === "plateau_iso") return { type, size, sigma: sigmaX, beta: beta(options.betapRange) };
  const spread = { size, sigmaX, sigmaY: uniform(rng, sigma), theta: uniform(rng, [-Math.PI, Math.PI]) };
  if (type === "aniso") return { type, ...spread };
  return { type, ...spread, beta: beta(type === "plateau_aniso" ? options.betapRange : options.betagRange) };
}

/** Draws the sinc filter that ends a pipeline: an odd size from 7 to `largest`, a cutoff in [π/3, π). */
export function drawSinc(rng: Rng, largest: number): BlurKernelSpec {
  return { type: "sinc", size: drawKernelSize(rng, largest), cutoff: uniform(rng, [Math.PI / 3, Math.PI]) };
}

/** An odd number from 7 to `largest`. */
export function drawKernelSize(rng: Rng, largest: number): number {
  return 7 + 2 * rng.integer((largest - 7) / 2 + 1);
}

/** Checks the options; `suffix` ends their names. */
export function checkBlur(checks: OptionChecks, options: BlurOptions, suffix = ""): void {
  checks.shares(`kernelProb${suffix}`, options.kernelProb, options.kernelList.length);
  checks.probability(`sincProb${suffix}`, options.sincProb);
  checks.around(`betagRange${suffix}`, options.betagRange, 1);
  checks.around(`betapRange${suffix}`, options.betapRange, 1);
}
