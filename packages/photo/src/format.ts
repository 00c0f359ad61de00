/** What a file is, by its content: photos that can be read, and what else people have under a photo's name. */
import { toLatin1, viewOf } from "./bytes.ts";
import type { PhotoFormat } from "./photo.ts";
import { EXIF_POINTER, openTiff, type TiffDirectory, textOf, wholeNumbers } from "./tiff-directory.ts";

/** The file name endings of photos, lower case. */
export const PHOTO_EXTENSIONS: readonly string[] = [
  ".jpg",
  ".jpeg",
  ".jpe",
  ".jif",
  ".jfif",
  ".png",
  ".webp",
  ".tif",
  ".tiff",
  ".avif",
  ".gif",
];

/** Whether a file name ends like a photo's. */
export function isPhotoName(name: string): boolean {
  return PHOTO_EXTENSIONS.some((ending) => name.toLowerCase().endsWith(ending));
}

/** A file's content: a photo that can be read, something else that has a name, or nothing that is known. */
export type Content =
  | { readonly photo: PhotoFormat }
  /** `what` it is, and `advice`: what to do to have it read. */
  | { readonly photo: null; readonly what: string; readonly advice: string }
  | null;

const EXPORT = "export it as JPEG, PNG or TIFF";
const GIVE = "give a JPEG, PNG, WebP, TIFF, AVIF or GIF file";
const DEVELOP = "develop it first and export it as TIFF or JPEG";

const other = (what: string, advice: string = EXPORT): Content => ({ photo: null, what, advice });
const raw = (maker: string): Content => other(`camera raw (${maker})`, DEVELOP);

/** Why a file is refused, after its name. */
export function refusal(content: Content): string {
  if (content === null) return `is not an image that can be read: ${GIVE}`;
  if (content.photo !== null) throw new Error(`internal: ${content.photo} is not refused`);
  return content.advice === GIVE
    ? `is not an image but ${content.what}: ${GIVE}`
    : `is ${content.what}, which cannot be read here: ${content.advice}`;
}

/** How files begin: text or bytes, where they stand (0 if nowhere is said), and what that is. First match counts. */
const BEGINNINGS: readonly (readonly [begins: string, content: Content, at?: number])[] = [
  ["\xff\xd8\xff", { photo: "jpeg" }],
  ["\x89PNG\r\n\x1a\n", { photo: "png" }],
  ["GIF8", { photo: "gif" }],
  ["WEBP", { photo: "webp" }, 8],
  ["AVI ", other("a video (AVI)", "take a frame out of it as PNG"), 8],
  ["CR\x02", raw("CR2"), 8],
  ["HEAPCCDR", raw("CRW"), 6],
  ["FUJIFILMCCD-RAW", raw("RAF")],
  ["IIRO", raw("ORF")],
  ["IIRS", raw("ORF")],
  ["MMOR", raw("ORF")],
  ["IIU\0", raw("RW2")],
  ["\0MRM", raw("MRW")],
  ["FOVb", raw("X3F")],
  ["II\xbc\x01", other("JPEG XR")],
  ["II+\0", { photo: "tiff" }],
  ["MM\0+", { photo: "tiff" }],
  ["\0\0\0\x0cJXL ", other("JPEG XL")],
  ["\xff\x0a", other("JPEG XL")],
  ["\0\0\0\x0cjP  ", other("JPEG 2000")],
  ["\xff\x4f\xff\x51", other("JPEG 2000")],
  ["8BPS", other("a Photoshop document (PSD)")],
  ["gimp xcf", other("a GIMP document (XCF)")],
  ["%PDF", other("a PDF document", "export its pages as PNG")],
  ["%!PS", other("PostScript", "export it as PNG")],
  ["v/1\x01", other("OpenEXR")],
  ["#?RADIANCE", other("Radiance HDR")],
  ["#?RGBE", other("Radiance HDR")],
  ["qoif", other("QOI")],
  ["DDS ", other("a DirectDraw surface (DDS)")],
  ["SIMPLE  =", other("FITS")],
  ["\0\0\x01\0", other("an icon (ICO)")],
  ["\x1aE\xdf\xa3", other("a video (Matroska, WebM)", "take a frame out of it as PNG")],
  ["\0\0\x01\xba", other("a video (MPEG)", "take a frame out of it as PNG")],
  ["PK\x03\x04", other("a ZIP archive", "unpack it first")],
  ["\x1f\x8b", other("a gzip archive", "unpack it first")],
  ["Rar!", other("a RAR archive", "unpack it first")],
  ["7z\xbc\xaf", other("a 7z archive", "unpack it first")],
  ["version https://git-lfs", other("a Git LFS pointer", "fetch the file itself with `git lfs pull`")],
];

// biome-ignore lint/suspicious/noControlCharactersInRegex: those characters are what text has not
const NO_TEXT = /[\0-\x08\x0e-\x1a\x1c-\x1f]/;

function headOf(bytes: Uint8Array): string {
  return toLatin1(bytes.subarray(0, 4096));
}

/**
 * What a file's bytes are.
 *
 * @param bytes the whole file; its first 64 KiB are enough for all but some camera raw files
 */
export function recognise(bytes: Uint8Array): Content {
  const head = headOf(bytes);
  for (const [begins, content, at = 0] of BEGINNINGS) if (head.startsWith(begins, at)) return content;
  if (head.startsWith("II*\0") || head.startsWith("MM\0*")) return recogniseTiff(bytes);
  if (head.startsWith("ftyp", 4)) return recogniseBrand(bytes);
  if (head.startsWith("BM") && bytes.length > 26) return other("BMP", "save it as PNG");
  if (/^P[1-7]\s/.test(head)) return other("a Netpbm picture (PPM, PGM)", "save it as PNG");
  const text = head.replace(/^\xef\xbb\xbf/, "").trimStart();
  if (/^(<\?xml|<!--|<!doctype svg|<svg)/i.test(text) && /<svg[\s>]/i.test(text))
    return other("a drawing (SVG)", "export it as PNG at the size that you need");
  if (/^(<!doctype html|<html|<head|<body)/i.test(text)) return other("a web page (HTML)", GIVE);
  if (text.length > 0 && !NO_TEXT.test(text)) return other("text", GIVE);
  return null;
}

/** What a file is that is no text, "a photo (JPEG)", by its bytes; null for text, and for what is not known. */
export function binaryKind(bytes: Uint8Array): string | null {
  const content = recognise(bytes);
  if (content === null || !NO_TEXT.test(headOf(bytes))) return null;
  return content.photo === null ? content.what : `a photo (${content.photo.toUpperCase()})`;
}

/** Pictures of the family of MP4, by the brands that they say they keep to. */
function recogniseBrand(bytes: Uint8Array): Content {
  const text = toLatin1(bytes.subarray(0, Math.min(viewOf(bytes).getUint32(0), 256)));
  const brands = [text.slice(8, 12), ...(text.slice(16).match(/.{4}/gs) ?? [])];
  const has = (...names: string[]): boolean => names.some((name) => brands.includes(name));
  if (has("avif", "avis")) return { photo: "avif" };
  if (has("crx ")) return raw("CR3");
  if (has("heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs"))
    return other("HEIC (HEVC)", "export it as JPEG or PNG");
  if (has("mif1", "msf1", "mif2", "jpeg", "j2ki")) return other("HEIF", "export it as JPEG or PNG");
  return other("a video (MP4, MOV)", "take a frame out of it as PNG");
}

const SUBFILE = 0x00fe;
const PHOTOMETRIC = 0x0106;
const MAKE = 0x010f;
const SUB_DIRECTORIES = 0x014a;
const DNG_VERSION = 0xc612;
/** PhotometricInterpretation of values that are no colours yet: a colour filter array, linear raw. */
const UNDEVELOPED = [32803, 34892];

/** A TIFF that holds sensor values is camera raw: what its first directory shows is a thumbnail. */
function recogniseTiff(bytes: Uint8Array): Content {
  const tiff = openTiff(bytes);
  const first = tiff?.directory(tiff.first);
  if (!tiff || !first) return { photo: "tiff" };
  if (first.entries.has(DNG_VERSION)) return raw("DNG");
  const directories = [first];
  const below = wholeNumbers(first.entries.get(SUB_DIRECTORIES)).map((offset) => tiff.directory(offset));
  directories.push(...below.filter((directory) => directory !== null));
  for (let next = first.next, i = 0; next !== 0 && i < 8; i++) {
    const directory = tiff.directory(next);
    if (directory === null) break;
    directories.push(directory);
    next = directory.next;
  }
  const undeveloped = directories.some((directory) => UNDEVELOPED.includes(number(directory, PHOTOMETRIC) ?? 0));
  const thumbnail = ((number(first, SUBFILE) ?? 0) & 1) === 1;
  const taken = first.entries.has(MAKE) && first.entries.has(EXIF_POINTER);
  if (undeveloped || (thumbnail && taken && directories.length > 1))
    return raw(rawName(textOf(first.entries.get(MAKE))));
  return { photo: "tiff" };
}

function number(directory: TiffDirectory, tag: number): number | undefined {
  return wholeNumbers(directory.entries.get(tag))[0];
}

function rawName(make: string): string {
  const names = {
    nikon: "NEF",
    sony: "ARW",
    pentax: "PEF",
    samsung: "SRW",
    hasselblad: "3FR",
    "phase one": "IIQ",
    epson: "ERF",
    kodak: "DCR",
  };
  const found = Object.entries(names).find(([maker]) => make.toLowerCase().startsWith(maker));
  return found?.[1] ?? "TIFF with sensor values";
}
