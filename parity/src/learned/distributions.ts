/** The Fréchet inception distance: its network, its resizing, its statistics. */
import {
  type FeatureSet,
  type FrechetDistance,
  featureStatistics,
  fidNormalize,
  fidResize,
  frechetDistance,
  InceptionV3,
} from "@deplsr/metrics";
import { type Device, mean, reshape, scope, select, slice, squeeze, stack, type Tensor } from "@deplsr/tensor";
import type { Attributes } from "../attributes.ts";
import { type Case, type Fixture, type Outputs, stored } from "../fixture.ts";
import { activation, beginning, host, optional, pixels } from "./activations.ts";
import { joined, networkCase, numbered, withNetwork } from "./network.ts";
import { generatedWeights } from "./weights.ts";

export function inceptionCase(fixture: Fixture, device: Device, config: Attributes): Case {
  config.assume("input", "(u8-128)/128 without any resize");
  const names = numbered(config, "cases", "small");
  return networkCase(
    config,
    device,
    (init) => new InceptionV3(init),
    (network) =>
      joined(
        names.map((name) => {
          const watched: Outputs[] = [];
          const image = fidNormalize(pixels(fixture, device, `${name}.rgb`, 1));
          const features = network.forward(image, (stage, x) => {
            if (fixture.tensors.has(`${name}.${stage}.mean`)) watched.push(activation(fixture, `${name}.${stage}`, x));
          });
          return { ...joined(watched), [`${name}.features`]: reshape(features, [-1]) };
        }),
      ),
  );
}

/** The features are read before the case runs: their statistics are the host's. */
export async function fidCase(fixture: Fixture, device: Device, config: Attributes): Promise<Case> {
  const weights = generatedWeights(config);
  const resizes = numbered(config, "resize_cases", "resize");
  const counts = setSizes(config.raw("sets"));
  config.inform("scipy_sqrtm_fid"); // the distance by another way
  config.finish();
  const images = (set: number): Tensor[] =>
    Array.from({ length: counts[set]! }, (_, i) => pixels(fixture, device, `set${set}.image${i}.rgb`, 1));
  const features = scope(() =>
    withNetwork(
      weights,
      device,
      (init) => new InceptionV3(init),
      (network) =>
        counts.map((_, set) =>
          stack(images(set).map((image) => squeeze(network.forward(fidNormalize(fidResize(image)))))),
        ),
    ),
  );
  const sets = await Promise.all(features.map(async (set) => ({ set: await set.data(), shape: set.shape })));
  for (const set of features) set.dispose();
  const [first, second] = sets.map(({ set, shape }) => ({ count: shape[0]!, dims: shape[1]!, data: set }));
  if (!first || !second) throw new Error("config.sets are not two sets of images");
  const run = (): Outputs => ({
    ...joined(sets.map(({ set, shape }, index) => ({ [`set${index}.features`]: host(set, shape) }))),
    ...distances("fid", frechetDistance(first, second), "fid."),
    ...joined(
      resizes.map((name) => resizeOutputs(fixture, name, fidResize(pixels(fixture, device, `${name}.rgb`, 1)))),
    ),
  });
  return { name: "", run };
}

/** How many images each set has. */
function setSizes(sets: unknown): number[] {
  if (Array.isArray(sets) && sets.every((set) => Array.isArray(set))) return sets.map((set: unknown[]) => set.length);
  throw new Error("config.sets is not a list of lists");
}

/** Parts of a resized image `(1, 3, 299, 299)`. */
function resizeOutputs(fixture: Fixture, name: string, image: Tensor): Outputs {
  const out = squeeze(image, 0);
  const [red, green, blue] = [0, 1, 2].map((channel) => select(out, 0, channel)) as [Tensor, Tensor, Tensor];
  return {
    ...beginning(fixture, `${name}.out.corner`, out),
    ...optional(fixture, `${name}.out.centre`, () => slice(out, [null, [146, 154], [146, 154]])),
    ...optional(fixture, `${name}.out.row`, () => select(red, 0, 57)),
    ...optional(fixture, `${name}.out.column`, () => select(blue, 1, 211)),
    ...optional(fixture, `${name}.out.green`, () => green),
    ...optional(fixture, `${name}.out.mean`, () => mean(out, { dim: [1, 2] })),
  };
}

export function frechetCase(fixture: Fixture, _device: Device, config: Attributes): Case {
  const names = numbered(config, "cases", "case");
  config.finish();
  const set = (name: string): FeatureSet => {
    const { shape, toFloat64 } = stored(fixture, name);
    return { count: shape[0]!, dims: shape[1]!, data: toFloat64() };
  };
  const run = (): Outputs =>
    joined([
      optional(fixture, "same.fid", () => {
        const first = set("case0.features1");
        return host([frechetDistance(first, first).distance], []);
      }),
      ...names.map((name) => {
        const [first, second] = [set(`${name}.features1`), set(`${name}.features2`)];
        const { mean: average, covariance } = featureStatistics(first);
        return {
          [`${name}.mean1`]: host(average),
          [`${name}.cov1`]: host(covariance, [first.dims, first.dims]),
          ...distances(`${name}.fid`, frechetDistance(first, second), `${name}.`),
        };
      }),
    ]);
  return { name: "", run };
}

function distances(name: string, { distance, ...terms }: FrechetDistance, prefix: string): Outputs {
  const number = (value: number): Outputs[string] => host([value], []);
  return {
    [name]: number(distance),
    [`${prefix}mean_term`]: number(terms.meanTerm),
    [`${prefix}trace1`]: number(terms.trace1),
    [`${prefix}trace2`]: number(terms.trace2),
    [`${prefix}trace_sqrt`]: number(terms.traceRoot),
  };
}
