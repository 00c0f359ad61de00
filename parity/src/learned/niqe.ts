/** NIQE in pyiqa's form. */
import { analyzeNiqe, niqe, type Plane, readNiqeModel } from "@deplsr/metrics";
import type { Device } from "@deplsr/tensor";
import type { Attributes } from "../attributes.ts";
import type { HostValues } from "../compare.ts";
import type { Case, Fixture, Outputs } from "../fixture.ts";
import { host, imageOf, optional } from "./activations.ts";
import { joined, numbered } from "./network.ts";

/** The pristine parameters stand beside the fixtures of the group `metrics`. */
const PARAMETERS = "../metrics/niqe_pris_params.safetensors";

export async function niqeCase(fixture: Fixture, _device: Device, config: Attributes): Promise<Case> {
  const names = numbered(config, "cases", "case");
  config.finish();
  const model = await readNiqeModel(await fixture.sibling(PARAMETERS), PARAMETERS);
  const caseOutputs = (name: string): Outputs => {
    const image = imageOf(fixture, `${name}.rgb`);
    const { luma, half, normalized, features } = analyzeNiqe(image, { form: "pyiqa" });
    const score = (cropBorder: number): HostValues => host([niqe(image, model, { form: "pyiqa", cropBorder })], []);
    const values = features.flatMap((block) => [...block]);
    return {
      [`${name}.y`]: host(luma.data, [luma.height, luma.width]),
      [`${name}.features`]: host(values, [features.length, values.length / features.length]),
      [`${name}.half.mean`]: host([half.data.reduce((sum, value) => sum + value, 0) / half.data.length], []),
      ...corner(fixture, `${name}.half.crop`, half),
      ...corner(fixture, `${name}.normalized1.crop`, normalized[0]),
      ...corner(fixture, `${name}.normalized2.crop`, normalized[1]),
      [`${name}.score`]: score(0),
      ...optional(fixture, `${name}.score_crop4`, () => score(4)),
    };
  };
  return { name: "", run: () => joined(names.map(caseOutputs)) };
}

/** As much of the beginning of a plane as is stored. */
function corner(fixture: Fixture, name: string, { width, data }: Plane): Outputs {
  return optional(fixture, name, (shape) => {
    const [rows = 0, columns = 0] = shape;
    const at = (i: number): number => Math.floor(i / columns) * width + (i % columns);
    return host(
      Array.from({ length: rows * columns }, (_, i) => data[at(i)]!),
      shape,
    );
  });
}
