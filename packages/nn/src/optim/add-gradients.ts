import { add, computeTogether, type Tensor, wrongArgument } from "@deplsr/tensor";

/**
 * The sums of the gradients of two parts of a batch, by parameter; one that only a part has stays as it is. Those of `known` that went into
 * a sum are given back.
 */
export function addGradients(
  known: ReadonlyMap<Tensor, Tensor>,
  more: ReadonlyMap<Tensor, Tensor>,
): Map<Tensor, Tensor> {
  for (const [name, grads] of Object.entries({ known, more })) {
    if (!(grads instanceof Map)) throw wrongArgument("addGradients", name, "the map that backward gives", grads);
  }
  const sums = new Map(known);
  for (const [tensor, gradient] of more) {
    const before = known.get(tensor);
    sums.set(tensor, before ? add(before, gradient) : gradient);
  }
  computeTogether([...sums.values()]);
  for (const tensor of more.keys()) known.get(tensor)?.dispose();
  return sums;
}
