import { fromHalf } from "../dtype.ts";

/** Floats of one byte: a table of 256 values for each kind. */

/** Names of the safetensors format; without "FNUZ" they are those of the Open Compute Project, with it those of AMD. */
export type Float8 = "F8_E4M3" | "F8_E5M2" | "F8_E8M0" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ";

/**
 * What a byte means.
 *
 * @see https://www.opencompute.org/documents/ocp-8-bit-floating-point-specification-ofp8-revision-1-0-2023-12-01-pdf-1 (section 5.1)
 * @see https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf (section 5.4.1: E8M0)
 * @see https://arxiv.org/abs/2206.02915 (FNUZ)
 */
const VALUE: Readonly<Record<Float8, (byte: number) => number>> = {
  // No infinity: all ones are NaN, and what lies before them is the largest number, 448.
  F8_E4M3: (byte) => ((byte & 0x7f) === 0x7f ? Number.NaN : finite(byte, 3, 7)),
  // The upper half of an f16, with its infinities and NaNs.
  F8_E5M2: (byte) => fromHalf(byte << 8),
  // A power of two without sign, the scale of a block.
  F8_E8M0: (byte) => (byte === 0xff ? Number.NaN : 2 ** (byte - 127)),
  // Neither infinity nor a negative zero, whose place NaN has.
  F8_E4M3FNUZ: (byte) => (byte === 0x80 ? Number.NaN : finite(byte, 3, 8)),
  F8_E5M2FNUZ: (byte) => (byte === 0x80 ? Number.NaN : finite(byte, 2, 16)),
};

/** A number of sign, exponent and mantissa; where the exponent is 0, of the mantissa alone. */
function finite(byte: number, mantissaBits: number, bias: number): number {
  const sign = byte & 0x80 ? -1 : 1;
  const exponent = (byte & 0x7f) >> mantissaBits;
  const fraction = (byte & (2 ** mantissaBits - 1)) / 2 ** mantissaBits;
  return sign * (exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias));
}

const tables = new Map<Float8, Float32Array>();

/** The values of bytes, exactly. */
export function fromFloat8(dtype: Float8, bytes: Uint8Array): Float32Array {
  const table = tables.get(dtype) ?? Float32Array.from({ length: 256 }, (_, byte) => VALUE[dtype](byte));
  tables.set(dtype, table);
  const values = new Float32Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) values[i] = table[bytes[i]!]!;
  return values;
}
