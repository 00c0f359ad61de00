import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { DISPLAY_P3, type PhotoMetadata, parseProfile, settleColours, toSrgb } from "../src/index.ts";

/** A profile of the decoder's own. */
async function profileOf(name: "srgb" | "p3"): Promise<PhotoMetadata["icc"]> {
  const file = await sharp({ create: { width: 1, height: 1, channels: 3, background: "red" } })
    .withIccProfile(name)
    .png()
    .toBuffer();
  return { bytes: (await sharp(file).metadata()).icc!, description: name };
}

const COLOURS = [200, 40, 90, 17, 250, 128];

describe("settleColours", () => {
  it("keeps a profile of its own, or makes sRGB by it", async () => {
    const icc = await profileOf("p3");
    const metadata = { icc, exif: null };
    const kept = Uint8Array.from(COLOURS);
    expect(await settleColours(kept, { metadata, grey: false, keep: true })).toEqual({
      profile: icc!.bytes,
      problem: null,
    });
    expect([...kept]).toEqual(COLOURS);
    const made = Uint16Array.from(COLOURS, (value) => value * 257);
    expect(await settleColours(made, { metadata, grey: false })).toEqual({ profile: null, problem: null });
    const expected = Uint16Array.from(COLOURS, (value) => value * 257);
    await toSrgb(expected, DISPLAY_P3);
    // The file's numbers have 16 bits.
    for (const [i, value] of made.entries()) expect(Math.abs(value - expected[i]!)).toBeLessThan(80);
    expect([...made]).not.toEqual(COLOURS.map((value) => value * 257));
  });

  it("leaves sRGB as it is, and says nothing of its profile", async () => {
    const data = Uint8Array.from(COLOURS);
    const metadata = { icc: await profileOf("srgb"), exif: null };
    expect(parseProfile(metadata.icc!.bytes)).not.toBeNull();
    expect(await settleColours(data, { metadata, grey: false, keep: true })).toEqual({ profile: null, problem: null });
    expect([...data]).toEqual(COLOURS);
  });

  it("takes a grey file with the profile of an RGB space along its diagonal, however often a value is repeated", async () => {
    const metadata = { icc: await profileOf("p3"), exif: null };
    const once = Uint8Array.from([0, 60, 200]);
    const thrice = Uint8Array.from([0, 0, 0, 60, 60, 60, 200, 200, 200]);
    for (const data of [once, thrice])
      expect(await settleColours(data, { metadata, grey: true, keep: true })).toEqual({ profile: null, problem: null });
    expect([...thrice.filter((_, i) => i % 3 === 0)]).toEqual([...once]);
  });

  it("says of a profile that is none that it does not fit, and of none nothing", async () => {
    const data = Uint8Array.from(COLOURS);
    const icc = { bytes: new Uint8Array(200), description: "" };
    expect((await settleColours(data, { metadata: { icc, exif: null }, grey: false })).problem).toBe("unfit");
    expect((await settleColours(data, { metadata: { icc: null, exif: null }, grey: false })).problem).toBeNull();
    expect([...data]).toEqual(COLOURS);
  });
});
