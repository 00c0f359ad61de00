/** The metrics that compare an image with a reference in the features of a network. */
import { DISTS, LPIPS, l2Pool } from "@deplsr/metrics";
import { add, type Device, div, mul, reshape, select, split, square, stack, sum, type Tensor } from "@deplsr/tensor";
import type { Attributes } from "../attributes.ts";
import { type Case, expectedNames, type Fixture, type Outputs, upload } from "../fixture.ts";
import { activation, beginning, host, pixels } from "./activations.ts";
import { joined, networkCase, numbered } from "./network.ts";

export function lpipsCase(fixture: Fixture, device: Device, config: Attributes): Case {
  const net = config.oneOf("net", ["alex", "vgg", "squeeze"]);
  config.assume("version", "0.1");
  const names = numbered(config, "cases", "case");
  return networkCase(
    config,
    device,
    (init) => new LPIPS({ net }, init),
    (metric) =>
      joined(
        names.map((name) => {
          const [image, reference] = pairOf(fixture, device, name);
          const input = metric.normalize(image);
          return {
            ...beginning(fixture, `${name}.input.crop`, reshape(input, input.shape.slice(1))),
            ...taps(fixture, `${name}.dist`, metric.trunk.forward(input)),
            ...taps(fixture, `${name}.ref`, metric.trunk.forward(metric.normalize(reference))),
            [`${name}.layer`]: reshape(stack(metric.contributions(image, reference)), [-1]),
            [`${name}.score`]: reshape(metric.forward(image, reference), []),
          };
        }),
      ),
  );
}

export function distsCase(fixture: Fixture, device: Device, config: Attributes): Case {
  const names = numbered(config, "cases", "case");
  return networkCase(
    config,
    device,
    (init) => new DISTS(init),
    (metric) =>
      joined([poolingOutputs(fixture, device), ...names.map((name) => distsOutputs(fixture, device, metric, name))]),
  );
}

function distsOutputs(fixture: Fixture, device: Device, metric: DISTS, name: string): Outputs {
  const [image, reference] = pairOf(fixture, device, name);
  const seen = metric.trunk.forward(metric.normalize(image));
  const { texture, structure } = metric.similarities(image, reference);
  const pooled = l2Pool(seen[0]!);
  const total = add(sum(metric.alpha), sum(metric.beta));
  const parts = (weights: Tensor, similarity: Tensor): Tensor => {
    const weighted = div(mul(reshape(weights, [1, -1]), similarity), total);
    return stack(split(weighted, [3, ...metric.trunk.channels], 1).map((part) => sum(part)));
  };
  return {
    ...taps(fixture, `${name}.dist`, [image, ...seen]),
    ...beginning(fixture, `${name}.l2pool.in.crop`, select(seen[0]!, 0, 0)),
    ...beginning(fixture, `${name}.l2pool.out.crop`, select(pooled, 0, 0)),
    [`${name}.l2pool.out.shape_hw`]: host(pooled.shape.slice(2)),
    [`${name}.s1`]: reshape(texture, [-1]),
    [`${name}.s2`]: reshape(structure, [-1]),
    [`${name}.layer`]: stack([parts(metric.alpha, texture), parts(metric.beta, structure)], 1),
    [`${name}.score`]: reshape(metric.forward(image, reference), []),
  };
}

/** The pooling of stored maps; the weights of its window are what it answers to single bright pixels. */
function poolingOutputs(fixture: Fixture, device: Device): Outputs {
  const impulses = device.tensor(
    Float32Array.from({ length: 9 * 25 }, (_, i) => {
      const [which, at] = [Math.floor(i / 25), i % 25];
      return at === 5 * (Math.floor(which / 3) + 1) + (which % 3) + 1 ? 1 : 0;
    }),
    [9, 1, 5, 5],
  );
  const answers: Record<string, Tensor> = {
    "l2pool.filter": reshape(square(select(select(l2Pool(impulses), 3, 1), 2, 1)), [3, 3]),
  };
  for (const name of expectedNames(fixture)) {
    const [input] = /^l2pool_\d+x\d+(?=\.out$)/.exec(name) ?? [];
    if (input !== undefined) answers[name] = l2Pool(upload(fixture, device, `${input}.in`));
  }
  return answers;
}

function pairOf(fixture: Fixture, device: Device, name: string): [image: Tensor, reference: Tensor] {
  return [pixels(fixture, device, `${name}.dist.rgb`), pixels(fixture, device, `${name}.ref.rgb`)];
}

function taps(fixture: Fixture, name: string, maps: readonly Tensor[]): Outputs {
  return joined(maps.map((map, tap) => activation(fixture, `${name}.tap${tap}`, map)));
}
