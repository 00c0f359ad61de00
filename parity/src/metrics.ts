/** The group `metrics`: PSNR, SSIM, the colours they look at, and NIQE. */
import {
  type Image,
  luma,
  niqe,
  psnr,
  readNiqeModel,
  rgbToYcbcr,
  ssim,
  type Triple,
  ycbcrToRgb,
} from "@deplsr/metrics";
import { Attributes } from "./attributes.ts";
import type { HostValues } from "./compare.ts";
import { type Case, type Driver, expectedNames, type Fixture, stored } from "./fixture.ts";

/** The file's `op` decides. */
export const cases: Driver = async (fixture) => {
  const config = new Attributes(fixture.config, "config");
  const op = config.oneOf("op", ["psnr_ssim", "niqe", "niqe_parameters"]);
  if (op === "psnr_ssim") return pairCases(fixture, config);
  if (op === "niqe") return niqeCases(fixture, config);
  config.inform("source");
  config.finish();
  await readNiqeModel(fixture.bytes, fixture.path);
  return [{ name: "", run: () => ({}) }];
};

/** A case for each image or pair of images: the names up to the first dot. */
function pairCases(fixture: Fixture, config: Attributes): Case[] {
  config.assume("psnr_identical", "infinite");
  config.finish();
  const names = expectedNames(fixture);
  return [...new Set(names.map((name) => name.split(".", 1)[0]!))].map((pair) => ({
    name: pair,
    run: () => {
      const one = fixture.tensors.has(`${pair}.rgb`);
      const image = imageOf(fixture, one ? `${pair}.rgb` : `${pair}.rgb1`);
      const other = one ? image : imageOf(fixture, `${pair}.rgb2`);
      if (one && psnr(image, other) !== Number.POSITIVE_INFINITY) throw new Error("the psnr of equal images is finite");
      const own = names.filter((name) => name.startsWith(`${pair}.`));
      return Object.fromEntries(own.map((name) => [name, pairValue(name.slice(pair.length + 1), image, other)]));
    },
  }));
}

/** `crop4.y.psnr`, `ssim`, `y_channel` and so on. */
function pairValue(what: string, image: Image, other: Image): HostValues {
  const [, border, channels, metric] = /^(?:crop(\d+)\.(rgb|y)\.)?(psnr|ssim)$/.exec(what) ?? [];
  if (metric !== undefined) {
    const options = { channels: channels === "y" ? "y" : "rgb", cropBorder: Number(border ?? 0) } as const;
    return scalar((metric === "psnr" ? psnr : ssim)(image, other, options));
  }
  if (what === "y_channel") return perPixel(image, 1, ([red, green, blue]) => [luma(red, green, blue)]);
  const fraction = (pixel: Triple): Triple => [pixel[0] / 255, pixel[1] / 255, pixel[2] / 255];
  if (what === "rgb2ycbcr") return perPixel(image, 3, (pixel) => rgbToYcbcr(fraction(pixel)));
  if (what === "ycbcr2rgb_roundtrip") return perPixel(image, 3, (pixel) => ycbcrToRgb(rgbToYcbcr(fraction(pixel))));
  throw new Error(`the output "${what}" is not understood`);
}

function perPixel(
  { width, height, data }: Image,
  channels: 1 | 3,
  value: (rgb: Triple) => readonly number[],
): HostValues {
  const values = Array.from({ length: width * height }, (_, i) =>
    value([data[3 * i]!, data[3 * i + 1]!, data[3 * i + 2]!]),
  );
  return { shape: channels === 1 ? [height, width] : [height, width, channels], data: values.flat() };
}

/** A case for each score: `image0.crop4.niqe`. */
async function niqeCases(fixture: Fixture, config: Attributes): Promise<Case[]> {
  const parameters = config.string("parameters");
  // Properties of the data.
  config.inform("min_tie_distance", "deviation_float32_params_and_float64_image");
  config.finish();
  const model = await readNiqeModel(await fixture.sibling(parameters), parameters);
  return expectedNames(fixture).map((name) => ({
    name: name.replace(/\.niqe$/, ""),
    run: () => {
      const [, image, border] = /^(.+)\.crop(\d+)\.niqe$/.exec(name) ?? [];
      if (image === undefined) throw new Error(`the output "${name}" is not understood`);
      return { [name]: scalar(niqe(imageOf(fixture, `${image}.rgb`), model, { cropBorder: Number(border) })) };
    },
  }));
}

function scalar(value: number): HostValues {
  return { shape: [], data: [value] };
}

/** A stored image, [height, width, 3] bytes. */
function imageOf(fixture: Fixture, name: string): Image {
  const { shape, dtype, bytes } = stored(fixture, name);
  const [height = 0, width = 0, channels] = shape;
  if (dtype !== "U8" || channels !== 3) throw new Error(`"${name}" is no RGB image of bytes`);
  return { width, height, data: bytes };
}
