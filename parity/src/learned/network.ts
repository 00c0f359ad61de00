/** A metric's network with a fixture's weights, and the numbered images that it is shown. */
import type { MetricNetwork } from "@deplsr/metrics";
import type { Init, StateDict } from "@deplsr/nn";
import { type Device, noGrad, Rng } from "@deplsr/tensor";
import type { Attributes } from "../attributes.ts";
import type { Case, Outputs } from "../fixture.ts";
import { generatedWeights } from "./weights.ts";

/** The names of the numbered parts of a fixture, `case0` and so on. What is said about them besides, the tensors show. */
export function numbered(config: Attributes, field: string, prefix: string): string[] {
  return config.objects(field).map((one, index) => {
    one.inform(...one.names());
    return `${prefix}${index}`;
  });
}

/** One case that makes a network, gives it the weights that the configuration describes, and asks it for what is stored. */
export function networkCase<Network extends MetricNetwork>(
  config: Attributes,
  device: Device,
  make: (init: Init) => Network,
  answers: (network: Network) => Outputs,
): Case {
  const weights = generatedWeights(config);
  config.finish();
  return { name: "", run: () => withNetwork(weights, device, make, answers) };
}

/** What a network with these weights answers; it is disposed of afterwards. */
export function withNetwork<Network extends MetricNetwork, Answer>(
  weights: StateDict,
  device: Device,
  make: (init: Init) => Network,
  answers: (network: Network) => Answer,
): Answer {
  const network = make({ device, rng: new Rng(0) });
  try {
    network.load(weights);
    return noGrad(() => answers(network));
  } finally {
    network.dispose();
  }
}

/** Joins the answers to several parts. */
export function joined(parts: readonly Outputs[]): Outputs {
  return Object.assign({}, ...parts);
}
