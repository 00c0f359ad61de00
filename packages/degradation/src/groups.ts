import { cat, indexSelect, narrow, type Tensor } from "@deplsr/tensor";

/**
 * Applies `change` to the images of each key together, and returns the results in the order of the batch: `images (b, …)`, a key for each.
 * What is done to an image then depends on its own parameters alone, never on the batch that it happens to be in.
 */
export function inGroups(
  images: Tensor,
  keys: readonly (string | number)[],
  change: (part: Tensor, indices: readonly number[]) => Tensor,
): Tensor {
  const groups = new Map<string | number, number[]>();
  for (const [i, key] of keys.entries()) groups.set(key, [...(groups.get(key) ?? []), i]);
  if (groups.size === 1) return change(images, [...keys.keys()]);
  const parts = [...groups.values()].map((indices) => change(take(images, indices), indices));
  const order = [...groups.values()].flat();
  const back = [...keys.keys()].map((i) => order.indexOf(i));
  return take(cat(parts, 0), back);
}

function take(images: Tensor, indices: readonly number[]): Tensor {
  const [first = 0] = indices;
  if (indices.every((index, i) => index === first + i)) return narrow(images, 0, first, indices.length);
  return indexSelect(images, 0, images.device.tensor(Int32Array.from(indices)));
}
