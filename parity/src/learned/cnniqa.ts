/** CNNIQA. */
import { CNNIQA } from "@deplsr/metrics";
import { type Device, relu, reshape, squeeze } from "@deplsr/tensor";
import type { Attributes } from "../attributes.ts";
import type { Case, Fixture } from "../fixture.ts";
import { beginning, pixels } from "./activations.ts";
import { joined, networkCase, numbered } from "./network.ts";

export function cnniqaCase(fixture: Fixture, device: Device, config: Attributes): Case {
  const arch = config.object("arch");
  const sizes = {
    kernel: arch.number("ker_size"),
    filters: arch.number("n_kers"),
    hidden: [arch.number("n1_nodes"), arch.number("n2_nodes")] as const,
  };
  arch.finish();
  const names = numbered(config, "cases", "case");
  return networkCase(
    config,
    device,
    (init) => new CNNIQA(sizes, init),
    (metric) =>
      joined(
        names.map((name) => {
          const image = pixels(fixture, device, `${name}.rgb`);
          const extremes = metric.extremes(image);
          const first = metric.fc1.forward(extremes);
          return {
            ...beginning(fixture, `${name}.conv1.crop`, squeeze(metric.conv1.forward(image), 0)),
            [`${name}.maxmin`]: reshape(extremes, [-1]),
            [`${name}.fc1`]: reshape(first, [-1]),
            [`${name}.fc2`]: reshape(metric.fc2.forward(relu(first)), [-1]),
            [`${name}.score`]: reshape(metric.forward(image), []),
          };
        }),
      ),
  );
}
