/** The benchmark of `deplsr doctor`. */
import { type Device, matmul, Rng, rand, scope, type Tensor } from "@deplsr/tensor";

/** Whether a device multiplies matrices rightly, and how fast. */
export interface Benchmark {
  readonly passed: boolean;
  /** The largest error of the elements that were checked. */
  readonly largestError: number;
  /** Rows and columns of the square matrices that were timed. */
  readonly side: number;
  /** Median of one product. */
  readonly milliseconds: number;
  readonly gigaflops: number;
}

/** Side of the matrices that are checked; the smallest that are timed. */
const SIDE = 512;
const LARGEST_SIDE = 4096;
/** A product that takes less is measured too roughly: handing it over costs a part of that. */
const SHORTEST_MS = 5;
const DURATION_MS = 1000;
/** Elements of the product that are compared with sums in double precision. */
const CHECKED = 200;
/** The largest sum of SIDE rounded products that is still right: about SIDE/2 roundings of 6e-8 each, on sums of about SIDE/4. */
const TOLERANCE = 1e-3;

/** Checks some elements of a matrix product, and times products of a size that fits the device for about a second. */
export async function benchmark(device: Device): Promise<Benchmark> {
  const rng = new Rng(1);
  const largestError = await check(device, rng);
  for (let side = SIDE; ; side *= 2) {
    using a = rand(device, [side, side], rng);
    const first = await time(device, a);
    const probe = side < LARGEST_SIDE ? Math.min(first, await time(device, a)) : SHORTEST_MS;
    if (probe < SHORTEST_MS) continue;
    const times: number[] = [];
    const end = performance.now() + DURATION_MS;
    while (times.length < 3 || performance.now() < end) times.push(await time(device, a));
    const milliseconds = times.sort((x, y) => x - y)[Math.floor(times.length / 2)]!;
    const gigaflops = (2 * side ** 3) / milliseconds / 1e6;
    return { passed: largestError < TOLERANCE, largestError, side, milliseconds, gigaflops };
  }
}

async function check(device: Device, rng: Rng): Promise<number> {
  using a = rand(device, [SIDE, SIDE], rng);
  using b = rand(device, [SIDE, SIDE], rng);
  const [left, right] = [await a.data(), await b.data()];
  using product = matmul(a, b);
  const found = await product.data();
  let largestError = 0;
  for (let i = 0; i < CHECKED; i++) {
    const at = rng.integer(SIDE * SIDE);
    const [row, column] = [Math.floor(at / SIDE), at % SIDE];
    let expected = 0;
    for (let k = 0; k < SIDE; k++) expected += left[row * SIDE + k]! * right[k * SIDE + column]!;
    // A product that is not a number must not pass for a small error.
    const error = Math.abs(found[at]! - expected);
    largestError = error >= 0 ? Math.max(largestError, error) : Number.POSITIVE_INFINITY;
  }
  return largestError;
}

/** Milliseconds of one product. */
async function time(device: Device, a: Tensor): Promise<number> {
  const before = performance.now();
  scope(() => void matmul(a, a));
  await device.sync();
  return performance.now() - before;
}
