import {
  add,
  type BackwardOptions,
  backward,
  checkFunction,
  checkOptions,
  checkTensor,
  type Tensor,
  wrongArgument,
} from "@deplsr/tensor";
import { addGradients } from "./add-gradients.ts";

/**
 * Adds the gradients of a part of a batch to those of the parts before it: `addGradients(known, backward(loss))`.
 *
 * @param known gradients by parameter; those that go into a sum are given back
 * @param loss one number, with its graph
 * @param options `onGradient` is told of every sum of the result once, as soon as it is whole, as that of `backward` is; those that this part adds nothing to
 * come last
 * @throws ArgumentError where `known` is no map or there is another option, and as `backward` does
 */
export function backwardOnto(
  known: ReadonlyMap<Tensor, Tensor>,
  loss: Tensor,
  options: Pick<BackwardOptions, "onGradient"> = {},
): Map<Tensor, Tensor> {
  if (!(known instanceof Map)) throw wrongArgument("backwardOnto", "known", "the map that backward gives", known);
  checkTensor("backwardOnto", "loss", loss);
  checkOptions("backwardOnto", options, ["onGradient"]);
  const { onGradient } = options;
  if (onGradient !== undefined) checkFunction("backwardOnto", "onGradient", onGradient);
  if (!onGradient) return addGradients(known, backward(loss));
  const sums = new Map(known);
  const more = backward(loss, {
    onGradient: (tensor, gradient) => {
      const before = known.get(tensor);
      const sum = before ? add(before, gradient) : gradient;
      sums.set(tensor, sum);
      return onGradient(tensor, sum);
    },
  });
  for (const [tensor, before] of known) {
    if (more.has(tensor)) before.dispose();
    else onGradient(tensor, before);
  }
  return sums;
}
