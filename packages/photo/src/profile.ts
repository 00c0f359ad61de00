/** ICC profiles: what their values mean, as curves and a matrix. Those that hold tables instead (printers, some scanners) are left to the decoder. */
import { toLatin1 } from "./bytes.ts";

/** Three rows of three. */
type Matrix = readonly [readonly number[], readonly number[], readonly number[]];

/** A device's value, 0..1, to light, 0..1. */
type Curve = (value: number) => number;

/** Colours described by a curve a channel and, for RGB, a matrix from light to XYZ under D50. */
export interface Profile {
  readonly space: "RGB" | "GRAY";
  readonly curves: readonly Curve[];
  readonly toXyz: Matrix | null;
}

/** What an ICC profile is called and what it describes: `RGB`, `GRAY`, `CMYK` ... */
export interface ProfileHead {
  readonly description: string;
  readonly space: string;
}

/** The columns of sRGB's own profile: red, green and blue of light as XYZ under D50. @see IEC 61966-2-1, adapted by Bradford's method */
const SRGB_TO_XYZ: Matrix = [
  [0.4360747, 0.3850649, 0.1430804],
  [0.2225045, 0.7168786, 0.0606169],
  [0.0139322, 0.0971045, 0.7141733],
];

/** The inverse. */
const XYZ_TO_SRGB: Matrix = [
  [3.1338561, -1.6168667, -0.4906146],
  [-0.9787684, 1.9161415, 0.033454],
  [0.0719453, -0.2289914, 1.4052427],
];

/** @see Adobe RGB (1998) Color Image Encoding; columns as Adobe's profile has them */
const ADOBE_TO_XYZ: Matrix = [
  [0.60974, 0.20528, 0.14919],
  [0.31111, 0.62567, 0.06322],
  [0.01947, 0.06087, 0.74457],
];

/** As the decoder's own Display P3 has them, to which it converts pictures of 16 bits. @see SMPTE EG 432-1, white D65, adapted by Bradford's method */
const P3_TO_XYZ: Matrix = [
  [0.51512146, 0.29197693, 0.15710449],
  [0.24119568, 0.69224548, 0.06655884],
  [0, 0.04182434, 0.78308105],
];

/** sRGB's curve. @see IEC 61966-2-1 */
export function srgbToLight(value: number): number {
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
}

/** The inverse of sRGB's curve. */
export function lightToSrgb(light: number): number {
  return light <= 0.0031308 ? light * 12.92 : 1.055 * light ** (1 / 2.4) - 0.055;
}

/** Adobe RGB (1998). */
export const ADOBE_RGB: Profile = matrixProfile(ADOBE_TO_XYZ, (value) => value ** (563 / 256));

/** Display P3. */
export const DISPLAY_P3: Profile = matrixProfile(P3_TO_XYZ, srgbToLight);

function matrixProfile(toXyz: Matrix, curve: Curve): Profile {
  return { space: "RGB", curves: [curve, curve, curve], toXyz };
}

/** What a profile is called and what it describes; null where the bytes are no profile. */
export function profileHead(bytes: Uint8Array): ProfileHead | null {
  const tags = openProfile(bytes);
  return tags && { space: tags.space, description: descriptionOf(tags.find("desc")) };
}

/** A profile's curves and matrix; null where it has none of them or is damaged. */
export function parseProfile(bytes: Uint8Array): Profile | null {
  const tags = openProfile(bytes);
  if (tags?.space === "GRAY") {
    const curve = curveOf(tags.find("kTRC"));
    return curve && { space: "GRAY", curves: [curve], toXyz: null };
  }
  if (tags?.space !== "RGB" || tags.connection !== "XYZ") return null;
  const columns = ["rXYZ", "gXYZ", "bXYZ"].map((tag) => xyzOf(tags.find(tag)));
  const curves = ["rTRC", "gTRC", "bTRC"].map((tag) => curveOf(tags.find(tag)));
  const [red, green, blue] = columns;
  if (!red || !green || !blue || curves.includes(null)) return null;
  const row = (i: number): number[] => [red[i]!, green[i]!, blue[i]!];
  return { space: "RGB", curves: curves as Curve[], toXyz: [row(0), row(1), row(2)] };
}

/** Whether an RGB profile holds tables and no matrix: the decoder converts those. */
export function holdsTables(bytes: Uint8Array): boolean {
  const tags = openProfile(bytes);
  const tables = tags?.space === "RGB" && (tags.find("A2B0") ?? tags.find("A2B1")) !== null;
  return tables && parseProfile(bytes) === null;
}

/** The matrix from a profile's light to that of sRGB, row by row. */
export function lightToSrgbLight(toXyz: Matrix): number[] {
  return XYZ_TO_SRGB.flatMap((row) =>
    [0, 1, 2].map((j) => row.reduce((sum, value, k) => sum + value * toXyz[k]![j]!, 0)),
  );
}

/** Whether a profile means what sRGB means, to within what its own numbers are rounded to: values then stay as they are. */
export function isSrgb({ curves, toXyz }: Profile): boolean {
  const near = (a: number, b: number, tolerance: number): boolean => Math.abs(a - b) <= tolerance;
  const matrix =
    toXyz === null || toXyz.every((row, i) => row.every((value, j) => near(value, SRGB_TO_XYZ[i]![j]!, 5e-4)));
  const steps = Array.from({ length: 65 }, (_, i) => i / 64);
  return matrix && curves.every((curve) => steps.every((value) => near(lightToSrgb(curve(value)), value, 1e-3)));
}

interface Tag {
  readonly type: string;
  readonly view: DataView;
}

interface Tags {
  readonly space: string;
  readonly connection: string;
  find(name: string): Tag | null;
}

function openProfile(bytes: Uint8Array): Tags | null {
  if (bytes.length < 132) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const text = (at: number): string => String.fromCharCode(...bytes.subarray(at, at + 4));
  if (text(36) !== "acsp") return null;
  const places = new Map<string, Tag>();
  const count = Math.min(view.getUint32(128), 200);
  for (let at = 132; at < 132 + count * 12 && at + 12 <= bytes.length; at += 12) {
    const [from, length] = [view.getUint32(at + 4), view.getUint32(at + 8)];
    if (length < 8 || from + length > bytes.length) continue;
    places.set(text(at), { type: text(from), view: new DataView(bytes.buffer, bytes.byteOffset + from, length) });
  }
  return { space: text(16).trim(), connection: text(20).trim(), find: (name) => places.get(name) ?? null };
}

const fixed = (view: DataView, at: number): number => view.getInt32(at) / 65536;

function xyzOf(tag: Tag | null): number[] | null {
  if (tag?.type !== "XYZ " || tag.view.byteLength < 20) return null;
  return [fixed(tag.view, 8), fixed(tag.view, 12), fixed(tag.view, 16)];
}

/** @see ICC.1:2022, 10.6 (curveType) and 10.18 (parametricCurveType) */
function curveOf(tag: Tag | null): Curve | null {
  if (tag === null || tag.view.byteLength < 12) return null;
  const { view } = tag;
  if (tag.type === "para") {
    const count = [1, 3, 4, 5, 7][view.getUint16(8)];
    if (count === undefined || view.byteLength < 12 + count * 4) return null;
    return parametric(Array.from({ length: count }, (_, i) => fixed(view, 12 + i * 4)));
  }
  if (tag.type !== "curv") return null;
  const count = view.getUint32(8);
  if (count === 0) return (value) => value;
  if (view.byteLength < 12 + count * 2) return null;
  if (count === 1) {
    const gamma = view.getUint16(12) / 256;
    return (value) => value ** gamma;
  }
  const table = Float64Array.from({ length: count }, (_, i) => view.getUint16(12 + i * 2) / 65535);
  return (value) => {
    const place = value * (count - 1);
    const i = Math.min(Math.floor(place), count - 2);
    return table[i]! + (table[i + 1]! - table[i]!) * (place - i);
  };
}

function parametric([g = 1, a = 1, b = 0, c, d, e, f]: readonly number[]): Curve {
  const power = (value: number): number => Math.max(0, a * value + b) ** g;
  if (d === undefined) return (value) => (a * value + b >= 0 ? power(value) : 0) + (c ?? 0);
  return (value) => (value >= d ? power(value) + (e ?? 0) : c! * value + (f ?? 0));
}

function descriptionOf(tag: Tag | null): string {
  if (tag === null) return "";
  const { view } = tag;
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  if (tag.type === "desc" && bytes.length > 12) {
    return toLatin1(bytes.subarray(12, 12 + view.getUint32(8))).replace(/\0.*$/s, "");
  }
  if (tag.type !== "mluc" || bytes.length < 28) return "";
  const [length, from] = [view.getUint32(20), view.getUint32(24)];
  if (from + length > bytes.length) return "";
  return new TextDecoder("utf-16be").decode(bytes.subarray(from, from + length)).replace(/\0.*$/s, "");
}
