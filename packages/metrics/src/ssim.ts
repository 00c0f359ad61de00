import { gaussianLine } from "./gaussian-window.ts";
import { type ComparisonOptions, checkPair, comparedPlanes, type Image, type Plane } from "./image.ts";

const WINDOW = 11;
const SIGMA = 1.5;
const C1 = (0.01 * 255) ** 2;
const C2 = (0.03 * 255) ** 2;

/**
 * Structural similarity, 1 for equal images, higher is better: the mean over the channels of the mean over all positions where a Gaussian
 * window of 11×11 pixels (σ 1.5) lies inside the image. The form of BasicSR.
 *
 * @throws RangeError for images of different sizes or smaller than the window after the border is left out
 * @see Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity"
 */
export function ssim(image: Image, reference: Image, options: ComparisonOptions = {}): number {
  checkPair("ssim", image, reference);
  const { channels, cropBorder } = options;
  const planes = comparedPlanes(reference, channels, cropBorder);
  const scores = comparedPlanes(image, channels, cropBorder).map((plane, i) => planeSsim(plane, planes[i]!));
  return scores.reduce((sum, score) => sum + score, 0) / scores.length;
}

/**
 * Structural similarity in the form of pyiqa: of the rounded full-range luma, and where the structures are opposed (a negative covariance)
 * the contrast counts as 0.
 *
 * @throws RangeError for images of different sizes or smaller than the window
 */
export function ssimPyiqa(image: Image, reference: Image): number {
  checkPair("ssimPyiqa", image, reference);
  const [x, y] = [image, reference].map((one) => comparedPlanes(one, "full range y")[0]!) as [Plane, Plane];
  return planeSsim(x, y, 0);
}

/** `lowest` bounds the factor of contrast and structure from below. */
function planeSsim(x: Plane, y: Plane, lowest: number = Number.NEGATIVE_INFINITY): number {
  if (x.width < WINDOW || x.height < WINDOW) {
    throw new RangeError(
      `ssim: ${x.width} x ${x.height} pixels are compared, but the window needs ${WINDOW} x ${WINDOW}`,
    );
  }
  const product = (a: Plane, b: Plane): Plane => ({ ...a, data: a.data.map((value, i) => value * b.data[i]!) });
  const meanX = filterValid(x);
  const meanY = filterValid(y);
  const squareX = filterValid(product(x, x));
  const squareY = filterValid(product(y, y));
  const cross = filterValid(product(x, y));
  let sum = 0;
  for (let i = 0; i < meanX.length; i++) {
    const a = meanX[i]!;
    const b = meanY[i]!;
    const covariance = cross[i]! - a * b;
    const variances = squareX[i]! - a * a + squareY[i]! - b * b;
    const structure = Math.max(lowest, (2 * covariance + C2) / (variances + C2));
    sum += ((2 * a * b + C1) / (a * a + b * b + C1)) * structure;
  }
  return sum / meanX.length;
}

/** Filters with the window where it fits: columns first, then rows, as the window is separable. */
function filterValid({ width, height, data }: Plane): Float64Array {
  const window = gaussianLine(WINDOW, SIGMA);
  const outWidth = width - WINDOW + 1;
  const outHeight = height - WINDOW + 1;
  const columns = new Float64Array(width * outHeight);
  for (let k = 0; k < WINDOW; k++) {
    const weight = window[k]!;
    for (let i = 0; i < columns.length; i++) columns[i]! += weight * data[i + k * width]!;
  }
  const result = new Float64Array(outWidth * outHeight);
  for (let row = 0; row < outHeight; row++) {
    for (let k = 0; k < WINDOW; k++) {
      const weight = window[k]!;
      const from = row * width + k;
      for (let i = 0; i < outWidth; i++) result[row * outWidth + i]! += weight * columns[from + i]!;
    }
  }
  return result;
}
