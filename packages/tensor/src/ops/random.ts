import { checkOptions, checkTensor, wrongArgument } from "../arguments.ts";
import { composed, detach } from "../autograd.ts";
import type { RandomCall } from "../backend.ts";
import { capturing } from "../capturing.ts";
import { shown } from "../errors.ts";
import { filled } from "../making.ts";
import { Rng } from "../random.ts";
import { checkShape, numel, type Shape } from "../shape.ts";
import type { Device, Tensor } from "../tensor.ts";
import { checkFloats } from "./floats.ts";
import { cast, lt, mul } from "./pointwise.ts";

/** The next counters of a generator, and, in a function that is being captured, those of a later call. */
function reserved(op: string, rng: Rng, count: number): Pick<RandomCall, "key" | "counter" | "later"> {
  const reservation = rng.take(count);
  const later = capturing.watcher?.drawn(op, rng, reservation);
  return later ? { ...reservation, later } : reservation;
}

/** Fills a new tensor; a counter of the generator gives four words, one for each element. */
function draw(op: string, kind: RandomCall["kind"], device: Device, shape: Shape, rng: Rng): Tensor {
  checkDevice(op, device);
  checkShape(op, shape);
  checkRng(op, rng);
  return filled(device, shape, kind === "bits" ? "u32" : "f32", op, (out) =>
    device.backend.random({ kind, ...reserved(op, rng, Math.ceil(numel(shape) / 4)), out }),
  );
}

/** Random 32-bit words (u32), the generator's own: the same on every backend and on the host. */
export function randBits(device: Device, shape: Shape, rng: Rng): Tensor {
  return draw("randBits", "bits", device, shape, rng);
}

/** Uniform numbers in [0, 1): multiples of 2^-24, the same on every backend. */
export function rand(device: Device, shape: Shape, rng: Rng): Tensor {
  return draw("rand", "uniform", device, shape, rng);
}

/** Numbers of the standard normal distribution, up to 6.8 from 0; their last bits depend on the backend's logarithm and sine. */
export function randn(device: Device, shape: Shape, rng: Rng): Tensor {
  return draw("randn", "normal", device, shape, rng);
}

/**
 * Poisson counts (as f32, or f16 like the rates) for given rates; shape kept. Exactly distributed at every rate, not a normal approximation; rate 0 gives 0,
 * a negative, infinite or NaN rate gives NaN. No gradient.
 */
export function poisson(rate: Tensor, rng: Rng): Tensor {
  checkTensor("poisson", "rate", rate);
  checkRng("poisson", rng);
  checkFloats("poisson", { rate });
  if (rate.dtype === "f16") return cast(poisson(cast(detach(rate), "f32"), rng), "f16");
  const rates = rate.dense("poisson");
  return filled(rate.device, rate.shape, "f32", "poisson", (out) =>
    rate.device.backend.random({ kind: "poisson", ...reserved("poisson", rng, rate.size), rate: rates, out }),
  );
}

/** 1 with probability `p`, else 0 (f32). @throws RangeError unless 0 ≤ p ≤ 1. */
export function bernoulli(device: Device, shape: Shape, p: number, rng: Rng): Tensor {
  checkProbability("bernoulli", p);
  return composed("bernoulli", () => cast(lt(draw("bernoulli", "uniform", device, shape, rng), p), "f32"));
}

/**
 * Sets elements to 0 with probability `p` and scales the others by 1 / (1 − p), so that the expected value stays. Shape kept.
 * @throws RangeError unless 0 ≤ p ≤ 1. @see Srivastava et al. 2014, "Dropout"
 */
export function dropout(x: Tensor, options: { readonly p: number; readonly rng: Rng }): Tensor {
  checkTensor("dropout", "x", x);
  checkOptions("dropout", options, ["p", "rng"]);
  const { p, rng } = options;
  checkProbability("dropout", p);
  checkRng("dropout", rng);
  if (p === 0) return x;
  checkFloats("dropout", { x });
  return composed("dropout", () => {
    const kept = bernoulli(x.device, x.shape, 1 - p, rng);
    return cast(mul(x, p === 1 ? kept : mul(kept, 1 / (1 - p))), x.dtype);
  });
}

function checkProbability(op: string, p: number): void {
  if (typeof p !== "number" || !(p >= 0 && p <= 1)) {
    throw new RangeError(`${op}: probability ${shown(p)} is not between 0 and 1`);
  }
}

function checkRng(op: string, rng: unknown): void {
  if (!(rng instanceof Rng)) throw wrongArgument(op, "rng", "an Rng", rng);
}

function checkDevice(op: string, device: unknown): void {
  if (typeof device !== "object" || device === null || !("backend" in device)) {
    throw wrongArgument(op, "device", "a Device", device);
  }
}
