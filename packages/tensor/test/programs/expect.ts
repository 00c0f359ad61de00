import * as T from "../../src/index.ts";
import { expectClose } from "../../src/testing.ts";
import type { Misuse } from "./program.ts";
import type { Gradient, Shadow } from "./shadow.ts";

/** Throws unless the numbers are the shadow's: all of them exactly, or real ones to rounding. */
export function expectSame(actual: ArrayLike<number>, { data, dtype }: Shadow, exact: boolean, what: string): void {
  if (!exact && dtype === "f32") {
    expectClose(actual, data, { rel: 1e-4, abs: 1e-5 }, what);
    return;
  }
  if (actual.length !== data.length) throw new Error(`${what}: ${actual.length} values, right are ${data.length}`);
  const wrong = data.findIndex((value, i) => value !== actual[i]);
  if (wrong < 0) return;
  const count = data.filter((value, i) => value !== actual[i]).length;
  throw new Error(
    `${what}: element ${wrong} is ${actual[wrong]}, right is ${data[wrong]} (${count} of ${data.length} wrong)`,
  );
}

/** Throws unless `work` throws an error of a kind, with a message. */
export function expectThrow(work: () => unknown, kind: new (message: string) => Error, message = /./): void {
  let error: unknown;
  try {
    work();
  } catch (caught) {
    error = caught;
  }
  if (!error)
    throw new Error(`did not throw, right is ${kind.name}${message.source === "." ? "" : ` with ${message}`}`);
  if (!(error instanceof kind) || !message.test(error.message))
    throw new Error(`threw ${error}, right is ${kind.name} ${message}`);
}

/** Throws unless a misuse of `x` is refused with the right error; `other` is another device than x's. */
export function expectMisuse(how: Exclude<Misuse, "disposedRead">, x: T.Tensor, other: T.Device): void {
  const like = (device: T.Device): T.Tensor => device.zeros(x.shape, { dtype: x.dtype });
  switch (how) {
    case "disposed":
      expectThrow(() => T.clone(x), T.DisposedError);
      expectThrow(() => T.logicalNot(x), T.DisposedError);
      return;
    case "disposedTarget":
      expectThrow(() => T.assign(x, like(x.device)), T.DisposedError);
      return;
    case "disposedValue":
      expectThrow(() => T.assign(like(x.device), x), T.DisposedError);
      return;
    case "view":
      expectThrow(() => T.assign(x, like(x.device)), Error, /view/);
      return;
    case "device":
      expectThrow(() => (x.dtype === "bool" ? T.logicalAnd : T.add)(x, like(other)), T.DeviceError);
      return;
    case "deviceValue":
      expectThrow(() => T.assign(x, like(other)), Error);
  }
}

/** Throws unless a real gradient is right, up to what rounding does to the terms that it is the sum of. */
export function expectGradient(actual: ArrayLike<number>, { sum, size }: Gradient, what: string): void {
  for (const [i, right] of sum.entries())
    if (!(Math.abs(actual[i]! - right) <= 1e-4 + 3e-4 * size[i]!))
      throw new Error(`${what}: element ${i} is ${actual[i]}, right is ${right}`);
}
