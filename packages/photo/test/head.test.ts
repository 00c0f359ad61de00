import sharp, { type Sharp } from "sharp";
import { describe, expect, it } from "vitest";
import { type PhotoFormat, readHead } from "../src/index.ts";

const XMP =
  '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">' +
  '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="ümlaut"/></rdf:RDF></x:xmpmeta>';

const picture = (channels: 3 | 4 = 3): Sharp =>
  sharp({ create: { width: 20, height: 10, channels, background: { r: 200, g: 30, b: 90, alpha: 0.5 } } });

/** Everything that can be said beside the pixels. */
const told = (): Sharp =>
  picture()
    .withExif({ IFD0: { Artist: "somebody", Orientation: "6" }, IFD2: { FNumber: "28/10" } })
    .withXmp(XMP)
    .withIccProfile("p3")
    .withDensity(240);

const FILES: Readonly<Record<string, [PhotoFormat, Promise<Buffer>]>> = {
  "JPEG with everything": ["jpeg", told().jpeg().toBuffer()],
  "PNG with everything": ["png", told().png().toBuffer()],
  "WebP with everything": ["webp", told().webp().toBuffer()],
  "plain JPEG": ["jpeg", picture().jpeg().toBuffer()],
  "plain PNG": ["png", picture().png().toBuffer()],
  "plain WebP": ["webp", picture().webp().toBuffer()],
  "grey JPEG": ["jpeg", picture().greyscale().jpeg().toBuffer()],
  "JPEG of print colours": ["jpeg", picture().toColourspace("cmyk").jpeg().toBuffer()],
  "progressive JPEG": ["jpeg", picture().jpeg({ progressive: true }).toBuffer()],
  "PNG with opacity": ["png", picture(4).png().toBuffer()],
  "PNG of 16 bits": ["png", picture().toColourspace("rgb16").png().toBuffer()],
  "grey PNG": ["png", picture().greyscale().toColourspace("b-w").png().toBuffer()],
  "PNG with a palette": ["png", picture().png({ palette: true }).toBuffer()],
  "PNG with a transparent palette": ["png", picture(4).png({ palette: true }).toBuffer()],
  "WebP with opacity": ["webp", picture(4).webp().toBuffer()],
  "lossless WebP with opacity": ["webp", picture(4).webp({ lossless: true }).toBuffer()],
};

describe.each(Object.entries(FILES))("the head of a %s", (_, [format, file]) => {
  it("says what sharp says", async () => {
    const bytes = await file;
    const [head, expected] = [await readHead(bytes, format), await sharp(bytes).metadata()];
    const exif = expected.exif?.subarray(expected.exif.toString("latin1", 0, 4) === "Exif" ? 6 : 0);
    expect(head.metadata.exif && Buffer.from(head.metadata.exif)).toEqual(exif ?? null);
    expect(head.metadata.xmp).toBe(expected.xmpAsString ?? null);
    expect(head.metadata.icc && Buffer.from(head.metadata.icc.bytes)).toEqual(expected.icc ?? null);
    expect(head.orientation).toBe(expected.orientation ?? 1);
    expect({ grey: head.grey, cmyk: head.cmyk }).toEqual({
      grey: expected.space === "b-w" || expected.space === "grey16",
      cmyk: expected.space === "cmyk",
    });
    expect(head.depth).toBe(expected.depth === "ushort" ? 16 : 8);
    expect(head.alpha).toBe(expected.hasAlpha);
    expect(head.animated).toBe(false);
    // Of a file that tells none the decoder says 72.
    if (head.metadata.density === null) expect(expected.density ?? 72).toBe(72);
    else expect(head.metadata.density).toBe(expected.density);
  });

  it("is read of a file that is cut off anywhere, without an error", async () => {
    const bytes = await file;
    for (let length = 30; length < bytes.length; length += 7) await readHead(bytes.subarray(0, length), format);
  });
});

it("tells that a WebP moves", async () => {
  const frames = [await picture().png().toBuffer(), await picture().negate().png().toBuffer()];
  const bytes = await sharp(frames, { join: { animated: true } })
    .webp()
    .toBuffer();
  expect((await sharp(bytes).metadata()).pages).toBe(2);
  expect(await readHead(bytes, "webp")).toMatchObject({ animated: true });
});
