/** MANIQA. */
import { MANIQA, type MANIQAConfig, relativePositions, shiftMask } from "@deplsr/metrics";
import {
  type Device,
  flatten,
  keep,
  mean,
  reshape,
  select,
  slice,
  sqrt,
  square,
  stack,
  type Tensor,
} from "@deplsr/tensor";
import type { Attributes } from "../attributes.ts";
import type { Case, Fixture, Outputs } from "../fixture.ts";
import { beginning, host, optional, pixels } from "./activations.ts";
import { joined, networkCase, numbered } from "./network.ts";

export function maniqaCase(fixture: Fixture, device: Device, config: Attributes): Case {
  const sizes = readConfig(config);
  const names = numbered(config, "cases", "case");
  const { window } = sizes.swin;
  const [grid, area] = [sizes.vit.imageSize / sizes.vit.patchSize, window ** 2];
  return networkCase(
    config,
    device,
    (init) => new MANIQA(sizes, init),
    (metric) =>
      joined([
        { attn_mask: host(shiftMask(grid, window), [(grid / window) ** 2, area, area]) },
        { relative_position_index: host(relativePositions(window), [area, area]) },
        ...names.map((name) => caseOutputs(fixture, device, metric, name)),
      ]),
  );
}

function readConfig(config: Attributes): MANIQAConfig {
  const arch = config.object("arch");
  const vit = config.object("vit");
  for (const name of ["embed_dim", "patch_size", "img_size"]) {
    arch.assume(name, vit.number(name));
  }
  arch.assume("num_outputs", 1);
  vit.inform("depth"); // what follows the last tap is not used
  const sizes = {
    vit: {
      imageSize: vit.number("img_size"),
      patchSize: vit.number("patch_size"),
      width: vit.number("embed_dim"),
      heads: vit.number("num_heads"),
      mlpRatio: vit.number("mlp_ratio"),
    },
    swin: {
      window: arch.number("window_size"),
      depths: arch.numbers("depths"),
      heads: arch.numbers("num_heads"),
      mlpHidden: arch.number("dim_mlp"),
      scale: arch.number("scale"),
    },
    tabBlocks: arch.number("num_tab"),
    crops: arch.number("test_sample"),
  };
  arch.finish();
  vit.finish();
  return sizes;
}

/** What is stored of the first crop at each part, and means over every crop. */
function caseOutputs(fixture: Fixture, device: Device, metric: MANIQA, name: string): Outputs {
  const answers: Record<string, Outputs[string]> = {};
  const crops = new Map<string, Tensor[]>();
  // What a part of the network computes is given back when it is done.
  const collect = (key: string, x: Tensor): void => void crops.set(key, [...(crops.get(key) ?? []), keep(x)]);
  let count = 0;
  const watch = (part: string, x: Tensor): void => {
    if (part === "crop") {
      count++;
      collect("crops.mean", mean(x, { dim: [0, 2, 3] }));
      collect("crops.rms", sqrt(mean(square(x), { dim: [0, 2, 3] })));
      collect(
        "crops.corner",
        slice(select(select(x, 0, 0), 0, 0), [
          [0, 3],
          [0, 3],
        ]),
      );
    }
    if (part === "patch_score" || part === "patch_weight") collect(`crop_${part}.mean`, mean(x));
    if (count === 1) {
      for (const [key, value] of Object.entries(partOutputs(fixture, `${name}.${partName(metric, part)}`, x))) {
        answers[key] = keep(value);
      }
    }
  };
  const score = metric.forward(pixels(fixture, device, `${name}.rgb`), watch);
  for (const [key, values] of crops) {
    answers[`${name}.${key}`] = stack(values);
    for (const value of values) value.dispose();
  }
  return { ...answers, [`${name}.score`]: reshape(score, []) };
}

/** The second group of transposed attention is stored as a whole. */
function partName({ config }: MANIQA, part: string): string {
  return part === `tab2_${config.tabBlocks - 1}` ? "tab2" : part;
}

/** A part's `x (1, …)`: its beginning, as it is or as rows of the last axis, the means of its first axis, all of it. */
function partOutputs(fixture: Fixture, name: string, x: Tensor): Readonly<Record<string, Tensor>> {
  const one = select(x, 0, 0);
  return {
    ...beginning(fixture, `${name}.crop`, one),
    ...beginning(fixture, `${name}.rows`, reshape(one, [-1, one.shape.at(-1)!])),
    ...optional(fixture, `${name}.mean`, () => mean(flatten(one, 1), { dim: 1 })),
    ...optional(fixture, `${name}.crop0`, () => one),
  };
}
