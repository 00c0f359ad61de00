/** A Gaussian along one axis: `size` weights of sum 1. @param sigma in pixels */
export function gaussianLine(size: number, sigma: number): Float64Array {
  const middle = (size - 1) / 2;
  return ofSumOne(size, (i) => Math.exp(-((i - middle) ** 2) / (2 * sigma ** 2)));
}

/** A Gaussian over a square: size·size weights of sum 1, row by row. @param sigma in pixels */
export function gaussianSquare(size: number, sigma: number): Float64Array {
  const middle = (size - 1) / 2;
  return ofSumOne(size * size, (i) => {
    const [x, y] = [(i % size) - middle, Math.floor(i / size) - middle];
    return Math.exp(-(x * x + y * y) / (2 * sigma ** 2));
  });
}

function ofSumOne(count: number, weight: (i: number) => number): Float64Array {
  const values = Float64Array.from({ length: count }, (_, i) => weight(i));
  const sum = values.reduce((total, value) => total + value);
  return values.map((value) => value / sum);
}
