import { type ComparisonOptions, checkPair, comparedPlanes, type Image } from "./image.ts";

/**
 * Peak signal-to-noise ratio in decibels, higher is better: `10 log10(255² / mean squared error)` over all compared channels, infinite for
 * equal images. The form of BasicSR, which super-resolution papers report.
 *
 * @throws RangeError for images of different sizes or a border that leaves nothing
 */
export function psnr(image: Image, reference: Image, options: ComparisonOptions = {}): number {
  checkPair("psnr", image, reference);
  const planes = comparedPlanes(reference, options);
  let sum = 0;
  let count = 0;
  comparedPlanes(image, options).forEach(({ data }, channel) => {
    const other = planes[channel]!.data;
    for (let i = 0; i < data.length; i++) sum += (data[i]! - other[i]!) ** 2;
    count += data.length;
  });
  return 10 * Math.log10(255 ** 2 / (sum / count));
}
