import type { Module, ParameterGroup } from "@deplsr/nn";
import type { Tensor } from "@deplsr/tensor";

/** Tensors without weight decay by their names: normalisations, biases and the logit scale. */
const NO_DECAY = /bn|ln|bias|logit_scale/;

/**
 * The two parameter groups that CLIP models are trained in: those with weight decay, and, without it, tensors of fewer than
 * two axes and those whose names say normalisation, bias or logit scale. Frozen tensors are in neither.
 */
export function parameterGroups(
  model: Module,
  settings: Omit<ParameterGroup, "params" | "weightDecay"> & { readonly weightDecay: number },
): ParameterGroup[] {
  const decayed = new Map<string, Tensor>();
  const plain = new Map<string, Tensor>();
  for (const [name, tensor] of model.parameters()) {
    if (!tensor.requiresGrad) continue;
    (tensor.rank < 2 || NO_DECAY.test(name) ? plain : decayed).set(name, tensor);
  }
  const groups = [
    { ...settings, params: plain, weightDecay: 0 },
    { ...settings, params: decayed },
  ];
  return groups.filter(({ params }) => params.size > 0);
}
