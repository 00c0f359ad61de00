import { cat, interpolate, narrow, permute, reshape, ShapeError, squeeze, type Tensor } from "@deplsr/tensor";

/**
 * Positional embeddings `(1 + g₀², c)` of an image tower for another grid: `(1 + grid², c)`. The class token's row stays,
 * the others are resized as an image, bicubic and antialiased. Given back as it is when the grid is the same.
 */
export function resizeImagePositions(embedding: Tensor, grid: number): Tensor {
  const [rows = 0, c = 0] = embedding.shape;
  const old = Math.sqrt(rows - 1);
  if (embedding.rank !== 2 || !Number.isInteger(old) || old < 1) {
    throw new ShapeError(`resizeImagePositions: [${embedding.shape.join(", ")}] is not (1 + grid², c)`);
  }
  if (old === grid) return embedding;
  const image = permute(reshape(narrow(embedding, 0, 1, rows - 1), [1, old, old, c]), [0, 3, 1, 2]); // (1, c, g₀, g₀)
  const resized = interpolate(image, { mode: "bicubic", size: [grid, grid], antialias: true });
  return cat([narrow(embedding, 0, 0, 1), reshape(permute(resized, [0, 2, 3, 1]), [grid * grid, c])], 0);
}

/** Positional embeddings `(n, c)` of a text tower for another context length, linear between the old ones: `(length, c)`. */
export function resizeTextPositions(embedding: Tensor, length: number): Tensor {
  if (embedding.rank !== 2) {
    throw new ShapeError(`resizeTextPositions: [${embedding.shape.join(", ")}] is not (n, c)`);
  }
  if (embedding.shape[0] === length) return embedding;
  const line = reshape(permute(embedding, [1, 0]), [1, embedding.shape[1]!, 1, embedding.shape[0]!]);
  return permute(squeeze(squeeze(interpolate(line, { mode: "bilinear", size: [1, length] }), 2), 0), [1, 0]);
}
