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

/** The device refused or failed: a limit, no memory, a lost device, a validation error. */
export class DeviceError extends Error {
  override readonly name = "DeviceError";
}

/** What every error message says of a tensor: `f32[2, 3]`. */
export function describe(x: { readonly dtype: string; readonly shape: readonly number[] } | number): string {
  return typeof x === "number" ? String(x) : `${x.dtype}[${x.shape.join(", ")}]`;
}
