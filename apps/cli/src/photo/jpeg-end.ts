/** JPEG files whose end mark is missing. */
import sharp from "sharp";
import { damaged } from "./samples.ts";

/**
 * A JPEG whose end mark is missing is whole when all its pixels are there: then what follows them does not change any. The decoder fills what is
 * missing without a word once there is an end mark, so the picture is decoded twice with different ends.
 */
export async function withEnd(bytes: Uint8Array, name: string, notes: string[]): Promise<Uint8Array> {
  const decode = (...tail: number[]): Promise<Buffer> =>
    sharp(Buffer.concat([bytes, Uint8Array.from([...tail, 0xff, 0xd9])]), {
      failOn: "none",
      limitInputPixels: false,
      ignoreIcc: true,
    })
      .raw()
      .toBuffer();
  const filler = Array.from({ length: 512 }, (_, i) => (i * 89 + 17) % 251);
  try {
    const [plain, filled] = [await decode(), await decode(...filler)];
    if (!plain.equals(filled)) throw new Error("the JPEG ends before its last pixel");
  } catch (error) {
    throw damaged(error, name);
  }
  notes.push(`${name} has no end mark (EOI): all its pixels are there, but what wrote it did not finish`);
  return Buffer.concat([bytes, Uint8Array.of(0xff, 0xd9)]);
}
