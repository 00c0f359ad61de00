/** What the decoder makes of a file's bytes: samples at their own depth, upright, in the file's own colours where those can be converted here. */
import { holdsTables, type PhotoMetadata } from "@deplsr/photo";
import sharp, { type Metadata, type Sharp } from "sharp";
import { oneLine, UserError } from "../errors.ts";

/** Samples of a picture, interleaved, the opacity last where there is one. */
export interface Samples {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly values: Uint8Array | Uint16Array;
}

/** Decodes a file's samples. @param icc its profile @param notes takes what should be known of the result @throws UserError */
export async function decodeSamples(
  bytes: Uint8Array,
  head: Metadata,
  { icc }: PhotoMetadata,
  name: string,
  notes: string[],
): Promise<Samples> {
  const { space, depth } = head;
  if (depth === "float" || depth === "double") return floatSamples(bytes, head, name, notes);
  if (depth !== "uchar" && depth !== "ushort")
    throw new UserError(`image: ${name} holds values of the type ${depth}: export it with 8 or 16 bits a channel`);
  const grey = isGreySpace(space);
  const plain = grey || space === "srgb" || space === "rgb" || space === "rgb16";
  const tables = !grey && plain && icc !== null && holdsTables(icc.bytes);
  const deep = depth === "ushort" && space !== "cmyk";
  if (depth === "ushort" && !deep) notes.push(`${name} is CMYK with 16 bits: it is converted to RGB with 8`);
  const picture = sharp(bytes, {
    failOn: "error",
    limitInputPixels: false,
    autoOrient: true,
    ignoreIcc: plain && !tables,
  });
  // The decoder gives grey of 8 bits without its opacity.
  const single = grey && (deep || !head.hasAlpha);
  picture.toColourspace(single ? (deep ? "grey16" : "b-w") : deep ? "rgb16" : "srgb");
  const samples = await rawSamples(picture.raw({ depth: deep ? "ushort" : "uchar" }), name);
  return head.format === "heif" && deep ? stretched(samples, head.bitsPerSample ?? 16) : samples;
}

async function rawSamples(picture: Sharp, name: string): Promise<Samples & { readonly bytes: Buffer }> {
  const { data, info } = await picture.toBuffer({ resolveWithObject: true }).catch((error) => {
    throw damaged(error, name);
  });
  const wide = data.length > info.width * info.height * info.channels;
  const values = wide
    ? new Uint16Array(data.buffer, data.byteOffset, data.length / 2)
    : new Uint8Array(data.buffer, data.byteOffset, data.length);
  return { width: info.width, height: info.height, channels: info.channels, values, bytes: data };
}

/** The decoder moves values of 10 and 12 bits up and leaves the lower ones 0: white would not be white. */
function stretched(samples: Samples, bits: number): Samples {
  const shift = 16 - bits;
  if (shift <= 0) return samples;
  const factor = 65535 / (2 ** bits - 1);
  return { ...samples, values: samples.values.map((value) => Math.round((value >> shift) * factor)) };
}

/** Values as colours: those between 0 and 1 with white at 1, those up to 255 with white there; what lies in between could be either, or light brighter than white. */
async function floatSamples(
  bytes: Uint8Array,
  { space, channels }: Metadata,
  name: string,
  notes: string[],
): Promise<Samples> {
  const grey = space === "b-w";
  const refused = (what: string): UserError =>
    new UserError(`image: ${name} is a float TIFF ${what}: export it with 16 bits a channel`);
  if (!grey && space !== "scrgb") throw refused(`of the colour space ${space}`);
  const picture = sharp(bytes, { failOn: "error", limitInputPixels: false, autoOrient: true, ignoreIcc: true });
  const {
    width,
    height,
    bytes: raw,
    channels: given,
  } = await rawSamples(picture.toColourspace(grey ? "b-w" : "scrgb").raw({ depth: "float" }), name);
  if (given !== channels) throw refused(`with ${channels} channels`);
  const floats = new Float32Array(raw.buffer, raw.byteOffset, raw.length / 4);
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of floats) {
    if (!Number.isFinite(value)) throw refused("with values that are no numbers");
    if (value < least) least = value;
    if (value > most) most = value;
  }
  const white = most <= 1.001 ? 1 : most >= 64 && most <= 255.5 ? 255 : null;
  if (white === null || least < -0.01 * white)
    throw refused(
      `whose values go from ${least.toPrecision(3)} to ${most.toPrecision(3)}, neither 0 to 1 nor 0 to 255`,
    );
  notes.push(`${name} is a float TIFF: its values are taken for colours from 0 to ${white}`);
  const values = Uint16Array.from(floats, (value) => Math.round(Math.min(1, Math.max(0, value / white)) * 65535));
  return { width, height, channels: given, values };
}

/** Colours, one channel of them for grey, and opacity, each on its own; channels beyond those are left. */
export function separate(
  { channels, values }: Samples,
  grey: boolean,
): { data: Samples["values"]; alpha: Samples["values"] | null } {
  const colours = grey ? 1 : 3;
  if (channels === colours) return { data: values, alpha: null };
  const pixels = values.length / channels;
  const [data, alpha] =
    values instanceof Uint8Array
      ? [new Uint8Array(pixels * colours), new Uint8Array(pixels)]
      : [new Uint16Array(pixels * colours), new Uint16Array(pixels)];
  const opacity = channels === 2 ? 1 : 3;
  for (let i = 0; i < pixels; i++) {
    for (let c = 0; c < colours; c++) data[i * colours + c] = values[i * channels + c]!;
    if (channels !== 3) alpha[i] = values[i * channels + opacity]!;
  }
  return { data, alpha: channels === 3 ? null : alpha };
}

/** Whether a picture of this colour space has no colours. */
export function isGreySpace(space: string): boolean {
  return space === "b-w" || space === "grey16";
}

export function tripled(grey: Samples["values"]): Samples["values"] {
  const data = grey instanceof Uint8Array ? new Uint8Array(grey.length * 3) : new Uint16Array(grey.length * 3);
  for (let i = 0; i < grey.length; i++) data.fill(grey[i]!, i * 3, i * 3 + 3);
  return data;
}

/** An error of the decoder, as a line for the user. */
export function damaged(error: unknown, name: string): UserError {
  const reason = firstSentence(error);
  if (/not been built in|unsupported|not supported|unknown compression|unimplemented/i.test(reason))
    return new UserError(
      `image: ${name} is of a kind that cannot be read here (${reason}): export it as JPEG, PNG or TIFF`,
    );
  return new UserError(`image: ${name} is truncated or damaged (${reason}): get the file again`);
}

/** A decoder may report the same failure many times over: the first line is enough. */
function firstSentence(error: unknown): string {
  const [first = ""] = (error instanceof Error ? error.message : String(error)).trim().split("\n");
  return oneLine(first.replace(/:\s*$/, ""));
}
