/** Blur kernels as small arrays on the host, computed in f64 (spec: degradation, section 1; after Real-ESRGAN, arXiv 2107.10833). */
import { mat3d, vec2d } from "wgpu-matrix";
import { besselJ1 } from "./bessel.ts";

/** Spread in every direction alike. `sigma` in pixels; 0 gives the kernel that changes nothing. */
interface Isotropic {
  readonly size: number;
  readonly sigma: number;
}

/** Spread along two perpendicular axes, the first turned by `theta` radians from the columns' axis towards the rows'. */
interface Anisotropic {
  readonly size: number;
  readonly sigmaX: number;
  readonly sigmaY: number;
  readonly theta: number;
}

/** Exponent of the distance in the generalised and the plateau families; 1 is neutral. */
interface Shaped {
  readonly beta: number;
}

/** Every kernel that the pipelines draw, as plain JSON. `size` is odd: the kernel covers `size × size` pixels. */
export type BlurKernelSpec =
  | ({ readonly type: "iso" } & Isotropic)
  | ({ readonly type: "aniso" } & Anisotropic)
  | ({ readonly type: "generalized_iso" | "plateau_iso" } & Isotropic & Shaped)
  | ({ readonly type: "generalized_aniso" | "plateau_aniso" } & Anisotropic & Shaped)
  | {
      readonly type: "sinc";
      readonly size: number;
      /** Cutoff frequency of the circular low-pass filter in radians a pixel, up to π. */
      readonly cutoff: number;
    };

/** `size × size` weights, row-major, that sum to 1. */
export interface BlurKernel {
  readonly size: number;
  readonly weights: Float64Array;
}

/** The kernel that changes nothing. */
export const IDENTITY: BlurKernel = { size: 1, weights: Float64Array.of(1) };

/**
 * Evaluates a kernel and normalises it to sum 1. Values before that, with m the squared distance to the centre in units of the spread:
 * Gaussian `exp(−m/2)`, generalised `exp(−m^β/2)`, plateau `1/(1 + m^β)`, sinc `ω J1(ωr)/(2πr)`.
 *
 * @throws RangeError for an even size, a negative sigma, or a spread that vanishes along one axis only
 */
export function blurKernel(spec: BlurKernelSpec): BlurKernel {
  const { size } = spec;
  if (!Number.isInteger(size) || size < 1 || size % 2 === 0)
    throw new RangeError(`blurKernel: size ${size} must be odd`);
  if (spec.type === "sinc") return normalize(size, sincValue(spec.cutoff));
  const sigmaX = "sigma" in spec ? spec.sigma : spec.sigmaX;
  const sigmaY = "sigma" in spec ? spec.sigma : spec.sigmaY;
  const theta = "theta" in spec ? spec.theta : 0;
  if (!(sigmaX >= 0 && sigmaY >= 0) || (sigmaX === 0) !== (sigmaY === 0)) {
    throw new RangeError(`blurKernel: sigma (${sigmaX}, ${sigmaY}) must be positive, or 0 for both axes`);
  }
  if (sigmaX === 0) return normalize(size, (x, y) => (x === 0 && y === 0 ? 1 : 0));
  const whitening = mat3d.inverse(spread(sigmaX, sigmaY, theta));
  const squaredDistance = (x: number, y: number): number => vec2d.lenSq(vec2d.transformMat3([x, y], whitening));
  const value = profile(spec);
  return normalize(size, (x, y) => value(squaredDistance(x, y)));
}

/** Covariance matrix of the anisotropic kernels, `R diag(σx², σy²) Rᵀ`, in the upper left of a 3×3 matrix. */
export function covariance(sigmaX: number, sigmaY: number, theta: number): Float64Array {
  const root = spread(sigmaX, sigmaY, theta);
  return mat3d.multiply(root, mat3d.transpose(root));
}

/** Puts a kernel in the middle of zeros: `size × size`, odd and not smaller. Filtering with it gives the same image. */
export function padKernel(kernel: BlurKernel, size: number): BlurKernel {
  const margin = (size - kernel.size) / 2;
  if (!Number.isInteger(margin) || margin < 0) {
    throw new RangeError(`padKernel: a kernel of ${kernel.size} pixels does not fit into the middle of ${size}`);
  }
  const weights = new Float64Array(size * size);
  for (let row = 0; row < kernel.size; row++) {
    const values = kernel.weights.subarray(row * kernel.size, (row + 1) * kernel.size);
    weights.set(values, (row + margin) * size + margin);
  }
  return { size, weights };
}

/** A square root of the covariance: scale along the axes, then rotate. */
function spread(sigmaX: number, sigmaY: number, theta: number): Float64Array {
  return mat3d.multiply(mat3d.rotation(theta), mat3d.scaling([sigmaX, sigmaY]));
}

function profile(spec: Exclude<BlurKernelSpec, { type: "sinc" }>): (squaredDistance: number) => number {
  switch (spec.type) {
    case "iso":
    case "aniso":
      return (m) => Math.exp(-m / 2);
    case "generalized_iso":
    case "generalized_aniso":
      return (m) => Math.exp(-(m ** spec.beta) / 2);
    case "plateau_iso":
    case "plateau_aniso":
      return (m) => 1 / (1 + m ** spec.beta);
  }
}

function sincValue(cutoff: number): (x: number, y: number) => number {
  // The limit at the centre is from J1(z) ≈ z/2. Few distances differ, and Bessel functions are slow.
  const known = new Map([[0, cutoff ** 2 / (4 * Math.PI)]]);
  return (x, y) => {
    const squared = x ** 2 + y ** 2;
    const radius = Math.sqrt(squared);
    const value = known.get(squared) ?? (cutoff * besselJ1(cutoff * radius)) / (2 * Math.PI * radius);
    known.set(squared, value);
    return value;
  };
}

function normalize(size: number, value: (x: number, y: number) => number): BlurKernel {
  const weights = new Float64Array(size * size);
  const centre = (size - 1) / 2;
  let sum = 0;
  for (let i = 0; i < weights.length; i++) {
    weights[i] = value((i % size) - centre, Math.floor(i / size) - centre);
    sum += weights[i]!;
  }
  return { size, weights: weights.map((weight) => weight / sum) };
}
