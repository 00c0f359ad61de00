/** Luma and YCbCr of ITU-R BT.601, as the metrics' reference implementations compute them. */

/** Three numbers of a pixel: red, green and blue, or Y, Cb and Cr. */
export type Triple = readonly [number, number, number];

/**
 * Luma of an 8-bit RGB pixel in studio range, 16 … 235, not rounded; white is 235. To the last bit of f32 what BasicSR computes
 * (`to_y_channel`), which keeps it divided by 255 on the way.
 */
export function luma(red: number, green: number, blue: number): number {
  const [y] = rgbToYcbcr([Math.fround(red / 255), Math.fround(green / 255), Math.fround(blue / 255)]);
  return Math.fround(Math.fround(y) * 255);
}

/**
 * Luma in 0 … 255, rounded to an integer, ties to even (full range, as pyiqa computes it). The weights have three decimals, so ties occur;
 * the reference lets the last bit of its f32 arithmetic decide them, which moves scores by about 1e-7.
 */
export function fullRangeLuma(red: number, green: number, blue: number): number {
  return roundHalfToEven((299 * red + 587 * green + 114 * blue) / 1000);
}

/** RGB in [0, 1] to YCbCr in studio range over 255, as MATLAB's `rgb2ycbcr`: black is (16, 128, 128) / 255. */
export function rgbToYcbcr([red, green, blue]: Triple): Triple {
  return [
    (65.481 * red + 128.553 * green + 24.966 * blue + 16) / 255,
    (-37.797 * red - 74.203 * green + 112 * blue + 128) / 255,
    (112 * red - 93.786 * green - 18.214 * blue + 128) / 255,
  ];
}

/** The way back, with the eight decimals of MATLAB's `ycbcr2rgb`; the result is not clipped. */
export function ycbcrToRgb([y, cb, cr]: Triple): Triple {
  const level = 0.00456621 * y;
  return [
    255 * (level + 0.00625893 * cr) - 222.921 / 255,
    255 * (level - 0.00153632 * cb - 0.00318811 * cr) + 135.576 / 255,
    255 * (level + 0.00791071 * cb) - 276.836 / 255,
  ];
}

/** The nearest whole number, ties to the even one as in NumPy. */
export function roundHalfToEven(value: number): number {
  const nearest = Math.round(value);
  return nearest - value === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest;
}
