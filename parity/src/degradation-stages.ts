/** The stages of degradation pipelines, with recorded random draws: what the groups `degradation` and `degradation2` share. */
import {
  addGaussianNoise,
  addPoissonNoise,
  diffJpeg,
  filter2d,
  roundTo255Levels,
  usmSharpen,
} from "@deplsr/degradation";
import { clamp, type Device, interpolate, slice, type Tensor } from "@deplsr/tensor";
import { Attributes } from "./attributes.ts";
import { type Case, type Fixture, type Outputs, stored, upload } from "./fixture.ts";
import { interpolateOptions } from "./operations.ts";

/** Every stage from the stored result of the one before, then all of them along the chain. `stages` is the list of the configuration. */
export function stageCases(fixture: Fixture, device: Device, stages: unknown): Case[] {
  if (!Array.isArray(stages)) throw new Error("config.stages is not a list");
  const run = (chained: boolean) => (): Outputs => {
    const results: Record<string, Tensor> = {};
    for (const entry of stages) {
      const attributes = new Attributes(entry, "stage");
      const name = attributes.string("name");
      const input = attributes.string("input");
      const image = (chained && results[input]) || tensor(fixture, device, input);
      results[name] = runStage(fixture, device, attributes, image);
      attributes.finish();
    }
    return results;
  };
  return [
    { name: "stage by stage", run: run(false) },
    { name: "chain", run: run(true) },
  ];
}

/** One operation of the vocabulary of stages. */
export function runStage(fixture: Fixture, device: Device, attributes: Attributes, image: Tensor): Tensor {
  const op = attributes.string("op");
  const values = (name: string): number | number[] => {
    const value = attributes.raw(name);
    return typeof value === "string" ? numbers(fixture, value) : attributes.number(name);
  };
  switch (op) {
    case "usm_sharp":
      return usmSharpen(image, {
        radius: attributes.number("radius"),
        weight: attributes.number("weight"),
        threshold: attributes.number("threshold"),
      });
    case "filter2D":
      return filter2d(image, tensor(fixture, device, attributes.string("kernel")));
    case "add_gaussian_noise": {
      const noise = recordedNoise(fixture, device, attributes);
      const result = addGaussianNoise(image, { sigma: values("sigma"), ...noise });
      noise.finish();
      return result;
    }
    case "add_poisson_noise": {
      const noise = recordedNoise(fixture, device, attributes);
      const result = addPoissonNoise(image, { scale: values("scale"), ...noise });
      noise.finish();
      return result;
    }
    case "diffjpeg": {
      const input = attributes.boolean("clamp_input") ? clamp(image, { min: 0, max: 1 }) : image;
      return diffJpeg(input, { quality: values("quality"), differentiable: attributes.boolean("differentiable") });
    }
    case "interpolate":
      return interpolate(image, interpolateOptions(attributes));
    case "round_to_255_levels":
      return roundTo255Levels(image);
    default:
      throw new Error(`the operation "${op}" is not understood`);
  }
}

interface RecordedNoise {
  readonly gray?: readonly number[];
  readonly clip: boolean;
  readonly rounds: boolean;
  readonly draw: () => Tensor;
  /** Throws when not all recorded fields have been asked for. */
  readonly finish: () => void;
}

/** Options of noise whose random fields are the recorded ones, in the order in which they are asked for. */
function recordedNoise(fixture: Fixture, device: Device, attributes: Attributes): RecordedNoise {
  const draws = attributes.strings("draws");
  const gray = attributes.has("gray") ? numbers(fixture, attributes.string("gray")) : undefined;
  let asked = 0;
  const draw = (): Tensor => {
    const name = draws[asked++];
    if (name === undefined)
      throw new Error(`${attributes.where}.draws: a draw more is needed than the ${draws.length} recorded`);
    return tensor(fixture, device, name);
  };
  const rounds = attributes.has("rounds") && attributes.boolean("rounds");
  const finish = (): void => {
    if (asked !== draws.length)
      throw new Error(`${attributes.where}.draws: ${asked} of ${draws.length} are understood`);
  };
  return { clip: attributes.boolean("clip"), rounds, draw, finish, ...(gray && { gray }) };
}

/** A stored tensor, or with `name[from:to]` some of its rows. */
export function tensor(fixture: Fixture, device: Device, reference: string): Tensor {
  const { name, rows } = parseReference(reference);
  const whole = upload(fixture, device, name);
  return rows ? slice(whole, [rows]) : whole;
}

/** The same on the host: one number an image. */
export function numbers(fixture: Fixture, reference: string): number[] {
  const { name, rows } = parseReference(reference);
  const values = [...stored(fixture, name).toFloat32()];
  return rows ? values.slice(...rows) : values;
}

function parseReference(reference: string): { readonly name: string; readonly rows: [number, number] | null } {
  const [, name, from, to] = /^(.+)\[(\d+):(\d+)\]$/.exec(reference) ?? [];
  return name === undefined ? { name: reference, rows: null } : { name, rows: [Number(from), Number(to)] };
}
