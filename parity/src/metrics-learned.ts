/** The group `metrics_learned`: metrics that score images with a network, and what they are made of. */

import type { Device } from "@deplsr/tensor";
import { Attributes } from "./attributes.ts";
import { cases as checkpointCases } from "./checkpoints.ts";
import type { Case, Driver, Fixture } from "./fixture.ts";
import { clipiqaCase } from "./learned/clipiqa.ts";
import { cnniqaCase } from "./learned/cnniqa.ts";
import { distsCase, lpipsCase } from "./learned/comparisons.ts";
import { fidCase, frechetCase, inceptionCase } from "./learned/distributions.ts";
import { maniqaCase } from "./learned/maniqa.ts";
import { musiqCase } from "./learned/musiq.ts";
import { niqeCase } from "./learned/niqe.ts";
import { archiveCase } from "./learned/torchscript.ts";

const CASES: Readonly<Record<string, (fixture: Fixture, device: Device, config: Attributes) => Case | Promise<Case>>> =
  {
    lpips: lpipsCase,
    dists: distsCase,
    inception_features: inceptionCase,
    fid: fidCase,
    frechet_distance: frechetCase,
    cnniqa: cnniqaCase,
    clipiqa: clipiqaCase,
    musiq: musiqCase,
    maniqa: maniqaCase,
    niqe_pyiqa: niqeCase,
    load_checkpoint: archiveCase,
  };

/** One case a fixture: its network is made once. Files without a configuration are checkpoints. */
export const cases: Driver = async (fixture, device) => {
  if (!fixture.path.endsWith(".safetensors")) return checkpointCases(fixture, device);
  const config = new Attributes(fixture.config, "config");
  const op = config.string("op");
  const make = Object.hasOwn(CASES, op) ? CASES[op] : undefined;
  if (!make) throw new Error(`config.op: "${op}" is not understood`);
  return [await make(fixture, device, config)];
};
