/** The `network_g` of a DAT that is quick to make and run: x2, windows of 2 x 4. */
export const TINY_DAT = {
  type: "DAT",
  upscale: 2,
  img_size: 8,
  split_size: [2, 4],
  depth: [1],
  embed_dim: 16,
  num_heads: [2],
  expansion_factor: 2,
  upsampler: "pixelshuffledirect",
};
