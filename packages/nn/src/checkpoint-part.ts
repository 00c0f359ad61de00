import { checkFunction, checkpoint, checkTensors, Rng, type Tensor } from "@deplsr/tensor";
import { checkMode } from "./arguments.ts";
import type { Mode } from "./module.ts";

/**
 * `checkpoint` for a part of a network: it runs again in the backward pass instead of keeping its activations, and draws the same random
 * numbers as before. Running statistics move in the first run only.
 */
export function checkpointPart(
  mode: Mode,
  part: (mode: Mode, ...inputs: Tensor[]) => Tensor,
  ...inputs: Tensor[]
): Tensor {
  checkMode("checkpointPart", mode);
  checkFunction("checkpointPart", "part", part);
  checkTensors("checkpointPart", "inputs", inputs);
  const drawn = mode.rng?.state();
  let first = true;
  const run = (...values: Tensor[]): Tensor => {
    const same = first || !drawn ? mode : { ...mode, rng: Rng.fromState(drawn) };
    first = false;
    return part(same, ...values);
  };
  return checkpoint(run, ...inputs);
}
