/** What the head of a photo file says: metadata and the form of its pixels. Read without decoding; what is damaged there is left out. */
import { fromLatin1, joined, toLatin1, toUtf8, viewOf } from "./bytes.ts";
import { orientationOf, resolutionOf } from "./exif.ts";
import { NO_METADATA, type PhotoFormat, type PhotoMetadata } from "./photo.ts";
import { profileHead } from "./profile.ts";

/** A file's head. What a format that is not read here (GIF, AVIF, TIFF) does not tell is as in most files. */
export interface PhotoHead {
  readonly metadata: PhotoMetadata;
  /** 1 is upright, see EXIF. */
  readonly orientation: number;
  /** Whether the file has no colours. */
  readonly grey: boolean;
  /** Whether its colours are those of print. */
  readonly cmyk: boolean;
  readonly depth: 8 | 16;
  /** Whether there is opacity: a channel of it, or a transparent colour. */
  readonly alpha: boolean;
  readonly animated: boolean;
}

const PLAIN: PhotoHead = {
  metadata: NO_METADATA,
  orientation: 1,
  grey: false,
  cmyk: false,
  depth: 8,
  alpha: false,
  animated: false,
};

/** Inflates zlib data (RFC 1950). */
export type Inflate = (bytes: Uint8Array) => Promise<Uint8Array>;

/** Reads the head of a file of a format. @param inflate by default the platform's `DecompressionStream` */
export async function readHead(
  bytes: Uint8Array,
  format: PhotoFormat,
  inflate: Inflate = inflated,
): Promise<PhotoHead> {
  switch (format) {
    case "jpeg":
      return jpegHead(bytes);
    case "png":
      return pngHead(bytes, inflate);
    case "webp":
      return webpHead(bytes);
    default:
      return PLAIN;
  }
}

async function inflated(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([Uint8Array.from(bytes)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The parts of a file that hold metadata. */
interface Blocks {
  readonly exif?: Uint8Array | undefined;
  readonly xmp?: string | undefined;
  readonly icc?: Uint8Array | undefined;
  /** Pixels per inch, of the format itself. */
  readonly density?: number | undefined;
}

function metadataOf({ exif, xmp, icc, density }: Blocks): Pick<PhotoHead, "metadata" | "orientation"> {
  const profile = icc && profileHead(icc);
  const metadata = {
    exif: exif ?? null,
    xmp: xmp ?? null,
    icc: icc && profile ? { bytes: icc, description: profile.description } : null,
    density: known(density),
  };
  return { metadata, orientation: (exif && orientationOf(exif)) ?? 1 };
}

/** A pixel a millimetre is what some programs write that know none. */
function known(density: number | undefined): number | null {
  return density === undefined || density <= 25 ? null : density;
}

const EXIF = "Exif\0\0";
const XMP = "http://ns.adobe.com/xap/1.0/\0";
const ICC = "ICC_PROFILE\0";

/** @see ITU T.81, B.1.1; Exif 2.32, 4.5; ICC.1:2022, B.4 */
function jpegHead(bytes: Uint8Array): PhotoHead {
  const view = viewOf(bytes);
  let blocks: Blocks = {};
  const profile: Uint8Array[] = [];
  let channels = 3;
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1]!;
    if (marker === 0xff) {
      at += 1;
      continue;
    }
    // The scan: everything that is told stands before it.
    if (marker === 0xda) break;
    const data = bytes.subarray(at + 4, at + 2 + view.getUint16(at + 2));
    const begins = (text: string): boolean => toLatin1(data.subarray(0, text.length)) === text;
    if (marker === 0xe0 && begins("JFIF\0") && data.length >= 12) {
      const perUnit = viewOf(data).getUint16(8);
      const unit = data[7] === 1 ? 1 : data[7] === 2 ? 2.54 : 0;
      if (unit > 0 && perUnit > 0) blocks = { density: Math.round(perUnit * unit), ...blocks };
    } else if (marker === 0xe1 && begins(EXIF)) {
      const exif = data.slice(EXIF.length);
      const density = resolutionOf(exif) ?? blocks.density;
      blocks = { exif, ...blocks, density };
    } else if (marker === 0xe1 && begins(XMP)) blocks = { xmp: toUtf8(data.subarray(XMP.length)), ...blocks };
    else if (marker === 0xe2 && begins(ICC)) profile[data[ICC.length]! - 1] = data.subarray(ICC.length + 2);
    else if (isFrame(marker)) channels = data[5] ?? 3;
    at += 2 + view.getUint16(at + 2);
  }
  const icc = profile.length > 0 ? joined(Array.from(profile, (part) => part ?? new Uint8Array(0))) : undefined;
  return { ...PLAIN, ...metadataOf({ ...blocks, icc }), grey: channels === 1, cmyk: channels === 4 };
}

/** Start of frame, of any process: between them are tables and extensions. */
function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
}

/** @see https://www.w3.org/TR/png-3/ */
async function pngHead(bytes: Uint8Array, inflate: Inflate): Promise<PhotoHead> {
  const view = viewOf(bytes);
  let blocks: Blocks = {};
  let alpha = false;
  let animated = false;
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const type = toLatin1(bytes.subarray(at + 4, at + 8));
    const data = bytes.subarray(at + 8, Math.min(at + 8 + length, bytes.length));
    if (type === "eXIf") blocks = { ...blocks, exif: data.slice() };
    else if (type === "iTXt" || type === "zTXt")
      blocks = { ...blocks, xmp: blocks.xmp ?? (await xmpOf(type, data, inflate)) };
    else if (type === "iCCP") blocks = { ...blocks, icc: await profileOf(data, inflate) };
    else if (type === "pHYs" && data[8] === 1)
      blocks = { ...blocks, density: Math.round(viewOf(data).getUint32(0) * 0.0254) };
    else if (type === "tRNS") alpha = true;
    else if (type === "acTL") animated = true;
    at += 12 + length;
  }
  const [depth, colours] = [bytes[24], bytes[25]];
  return {
    ...PLAIN,
    ...metadataOf(blocks),
    grey: colours === 0 || colours === 4,
    depth: depth === 16 ? 16 : 8,
    alpha: alpha || colours === 4 || colours === 6,
    animated,
  };
}

/** The text of an iTXt chunk under XMP's keyword, where language and translated keyword stand between, or of a zTXt chunk. */
async function xmpOf(type: string, data: Uint8Array, inflate: Inflate): Promise<string | undefined> {
  const keyword = fromLatin1("XML:com.adobe.xmp\0");
  if (!keyword.every((byte, i) => data[i] === byte)) return undefined;
  const wide = type === "iTXt";
  const language = data.indexOf(0, keyword.length + 2);
  const start = wide ? data.indexOf(0, language + 1) + 1 : keyword.length + 1;
  if (wide && (language < 0 || start === 0)) return undefined;
  const packed = !wide || data[keyword.length] === 1;
  const text = packed ? await inflate(data.subarray(start)).catch(() => undefined) : data.subarray(start);
  return text && toUtf8(text);
}

async function profileOf(data: Uint8Array, inflate: Inflate): Promise<Uint8Array | undefined> {
  return inflate(data.subarray(data.indexOf(0) + 2)).catch(() => undefined);
}

/** @see https://developers.google.com/speed/webp/docs/riff_container */
function webpHead(bytes: Uint8Array): PhotoHead {
  const view = viewOf(bytes);
  let blocks: Blocks = {};
  let [alpha, animated] = [false, false];
  for (let at = 12; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at + 4, true);
    const type = toLatin1(bytes.subarray(at, at + 4));
    const data = bytes.subarray(at + 8, at + 8 + length);
    if (type === "EXIF") {
      const start = toLatin1(data.subarray(0, EXIF.length)) === EXIF ? EXIF.length : 0;
      blocks = { ...blocks, exif: data.slice(start) };
    } else if (type === "XMP ") blocks = { ...blocks, xmp: toUtf8(data) };
    else if (type === "ICCP") blocks = { ...blocks, icc: data.slice() };
    else if (type === "VP8X") [alpha, animated] = [(data[0]! & 0x10) !== 0, (data[0]! & 0x02) !== 0];
    else if (type === "VP8L") alpha ||= (data[4]! & 0x10) !== 0;
    at += 8 + length + (length % 2);
  }
  return { ...PLAIN, ...metadataOf(blocks), alpha, animated };
}
