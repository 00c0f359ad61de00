/** Shapes that do not fit an operation. */
export class ShapeError extends Error {
  override readonly name = "ShapeError";
}

/** An element type that an operation does not take. */
export class DTypeError extends Error {
  override readonly name = "DTypeError";
}

/** A tensor was used after it had been given back. */
export class DisposedError extends Error {
  override readonly name = "DisposedError";
}

/** An argument of the wrong kind: no tensor, no number, an option or a mode that there is not. */
export class ArgumentError extends Error {
  override readonly name = "ArgumentError";
}

/** The device refused or failed: a limit, no memory, a lost device, a validation error. */
export class DeviceError extends Error {
  override readonly name = "DeviceError";
}

/** The device is gone, and its tensors with it: only a new one, of `Device.request`, computes again. */
export class DeviceLostError extends DeviceError {}

/** What every error message says of a tensor: `f32[2, 3]`. */
export function describe(x: { readonly dtype: string; readonly shape: readonly number[] } | number): string {
  return typeof x === "number" ? String(x) : `${x.dtype}[${x.shape.join(", ")}]`;
}

/** Bytes in a message: `1200 MiB`, `3 KiB`, rounded up. */
export function shownBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`;
  return bytes < 2 ** 20 ? `${Math.ceil(bytes / 1024)} KiB` : `${Math.ceil(bytes / 2 ** 20)} MiB`;
}

/** Any value in a message: `f32[2, 3]`, `"mean"`, `[1, 0.5]`, `undefined`, `Map`. */
export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value))
    return value.length > 8 ? `an array of ${value.length}` : `[${value.map(shown).join(", ")}]`;
  const { dtype, shape, constructor } = value as { dtype?: unknown; shape?: unknown; constructor?: { name?: string } };
  if (typeof dtype === "string" && Array.isArray(shape)) return describe({ dtype, shape });
  const name = constructor?.name;
  return name && name !== "Object" ? name : "an object";
}

/**
 * Passes on what a function gave, unless that is a promise: what such a function does after its first `await` would run outside.
 * @throws Error; the promise's own failure is then nobody's business.
 */
export function refuseAsync<T>(op: string, result: T): T {
  if (typeof (result as { then?: unknown } | null | undefined)?.then !== "function") return result;
  (result as unknown as PromiseLike<unknown>).then(undefined, () => {});
  throw new Error(`${op}: the function is asynchronous; await before or after ${op}, not inside of it`);
}
