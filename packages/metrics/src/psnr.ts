import { type ComparisonOptions, checkPair, comparedPlanes, type Image } from "./image.ts";

/**
 * Peak signal-to-noise ratio in decibels, higher is better: `10 log10(255² / mean squared error)` over all compared channels, infinite for
 * equal images. The form of BasicSR, which super-resolution papers report.
 *
 * @throws RangeError for images of different sizes or a border that leaves nothing
 */
export function psnr(image: Image, reference: Image, options: ComparisonOptions = {}): number {
  return 10 * Math.log10(255 ** 2 / meanSquaredError("psnr", image, reference, options));
}

/**
 * Peak signal-to-noise ratio of the three channels in the form of pyiqa, whose tables some papers print: values in [0, 1] and 1e-8 added to
 * the mean squared error, so that equal images have 80 dB.
 *
 * @throws RangeError for images of different sizes
 */
export function psnrPyiqa(image: Image, reference: Image): number {
  const error = meanSquaredError("psnrPyiqa", image, reference, { channels: "rgb" });
  return 10 * Math.log10(1 / (error / 255 ** 2 + 1e-8));
}

function meanSquaredError(metric: string, image: Image, reference: Image, options: ComparisonOptions): number {
  checkPair(metric, image, reference);
  const planes = comparedPlanes(reference, options.channels, options.cropBorder);
  let sum = 0;
  let count = 0;
  comparedPlanes(image, options.channels, options.cropBorder).forEach(({ data }, channel) => {
    const other = planes[channel]!.data;
    for (let i = 0; i < data.length; i++) sum += (data[i]! - other[i]!) ** 2;
    count += data.length;
  });
  return sum / count;
}
