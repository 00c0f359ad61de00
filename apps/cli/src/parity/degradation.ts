/** The group `degradation`: blur kernels, filtering, noise, JPEG and the semantic-driven pipeline, from recorded random draws. */
import {
  addGaussianNoise,
  addPoissonNoise,
  type BlurKernelSpec,
  blurKernel,
  captionParts,
  diffJpeg,
  filter2d,
  padKernel,
  poissonRate,
  roundTo255Levels,
} from "@deplsr/degradation";
import {
  backward,
  clamp,
  type Device,
  div,
  interpolate,
  mul,
  requireGrad,
  slice,
  sum,
  type Tensor,
} from "@deplsr/tensor";
import { Attributes } from "./attributes.ts";
import { type Case, type Driver, expectedNames, type Fixture, type Outputs, stored, upload } from "./fixture.ts";
import { interpolateOptions } from "./operations.ts";

/** The file's `op` decides; files without one hold kernels or cases of noise. */
export const cases: Driver = (fixture, device) => {
  const config = new Attributes(fixture.config, "config");
  const op = config.has("op") ? config.string("op") : config.has("cases") ? "noise" : "kernels";
  const files: Readonly<Record<string, (fixture: Fixture, device: Device, config: Attributes) => Case[]>> = {
    kernels: kernelCases,
    filter2D: filterCases,
    noise: noiseCases,
    diffjpeg: jpegCases,
    srclip_degradation: pipelineCases,
  };
  const build = Object.hasOwn(files, op) ? files[op] : undefined;
  if (!build) throw new Error(`the operation "${op}" is not understood`);
  return build(fixture, device, config);
};

function kernelCases(_fixture: Fixture, _device: Device, config: Attributes): Case[] {
  return config.names().map((name) => ({
    name,
    run: () => {
      const attributes = config.object(name);
      const kernel = blurKernel(kernelSpec(attributes));
      const frame = attributes.optionalNumber("pad_to") ?? 0;
      attributes.finish();
      const { size, weights } = frame > kernel.size ? padKernel(kernel, frame) : kernel;
      return { [name]: { shape: [size, size], data: weights } };
    },
  }));
}

function kernelSpec(attributes: Attributes): BlurKernelSpec {
  const size = attributes.number("size");
  const type = attributes.oneOf("type", [
    "iso",
    "aniso",
    "generalized_iso",
    "generalized_aniso",
    "plateau_iso",
    "plateau_aniso",
    "sinc",
  ]);
  const spread = (): { sigmaX: number; sigmaY: number; theta: number } => ({
    sigmaX: attributes.number("sigma_x"),
    sigmaY: attributes.number("sigma_y"),
    theta: attributes.number("theta"),
  });
  switch (type) {
    case "sinc":
      return { type, size, cutoff: attributes.number("cutoff") };
    case "iso":
      return { type, size, sigma: attributes.number("sigma") };
    case "aniso":
      return { type, size, ...spread() };
    case "generalized_iso":
    case "plateau_iso":
      return { type, size, sigma: attributes.number("sigma"), beta: attributes.number("beta") };
    default:
      return { type, size, ...spread(), beta: attributes.number("beta") };
  }
}

function filterCases(fixture: Fixture, device: Device, config: Attributes): Case[] {
  const outputs = config.object("outputs");
  config.finish();
  return outputs.names().map((name) => ({
    name,
    run: () => {
      const attributes = outputs.object(name);
      const image = tensor(fixture, device, attributes.string("image"));
      const kernel = tensor(fixture, device, attributes.string("kernel"));
      attributes.finish();
      return { [name]: filter2d(image, kernel) };
    },
  }));
}

function noiseCases(fixture: Fixture, device: Device, config: Attributes): Case[] {
  config.raw("min_tie_distance"); // a property of the data
  const entries = config.object("cases");
  config.finish();
  const runs = entries.names().map(
    (name): Case => ({
      name,
      run: () => {
        const attributes = entries.object(name);
        const image = tensor(fixture, device, attributes.string("image"));
        const result = runStage(fixture, device, attributes, image);
        attributes.finish();
        return { [`${name}.out`]: result };
      },
    }),
  );
  const rates: Case = {
    name: "poisson",
    run: () => {
      const { quantized, vals, rate } = poissonRate(upload(fixture, device, "in.image"));
      const flat = slice(vals, [null, [0, 1], [0, 1], [0, 1]]).reshape([-1]);
      return { "poisson.vals": flat, "poisson.rate": rate, "poisson.noise_variance_scale1": div(quantized, vals) };
    },
  };
  return expectedNames(fixture).some((name) => name.startsWith("poisson.")) ? [...runs, rates] : runs;
}

function jpegCases(fixture: Fixture, device: Device, config: Attributes): Case[] {
  const qualities = config.numbers("qualities");
  const batch = config.has("batch_quality") ? config.string("batch_quality") : null;
  config.raw("min_tie_distance");
  config.finish();
  const outputs = expectedNames(fixture).filter((name) => name.startsWith("out."));
  return outputs.map((name) => ({
    name,
    run: () => {
      const [, kind, label] = /^out\.(standard|differentiable)\.q(.+)$/.exec(name) ?? [];
      const known = label === "batch" ? batch !== null : qualities.includes(Number(label));
      if (kind === undefined || !known) throw new Error(`the output "${name}" is not understood`);
      const image = requireGrad(upload(fixture, device, "in.image"));
      const quality = label === "batch" ? numbers(fixture, batch!) : Number(label);
      const out = diffJpeg(image, { quality, differentiable: kind === "differentiable" });
      const gradient = name.replace(/^out/, "grad_in");
      if (!fixture.tensors.has(gradient)) return { [name]: out };
      const loss = sum(mul(out, upload(fixture, device, "grad_out")));
      return { [name]: out, [gradient]: backward(loss, { wrt: [image] }).get(image)! };
    },
  }));
}

/** Every stage from the stored result of the one before, then all of them along the chain; and the caption. */
function pipelineCases(fixture: Fixture, device: Device, config: Attributes): Case[] {
  checkCaption(config);
  // What the stages repeat, and facts of how the file was made.
  for (const name of ["kernel_size", "theta", "lq_size", "min_tie_distance"]) config.raw(name);
  const stages = config.raw("stages");
  if (!Array.isArray(stages)) throw new Error("config.stages is not a list");
  config.finish();
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

function checkCaption(config: Attributes): void {
  const noise = config.oneOf("noise", ["gaussian", "poisson"]);
  const sigma = config.optionalNumber("noise_sigma");
  const scale = config.optionalNumber("noise_scale");
  const parts = captionParts({
    blurSigma: config.number("blur_sigma"),
    noise:
      noise === "gaussian" ? { type: noise, sigma: sigma ?? Number.NaN } : { type: noise, scale: scale ?? Number.NaN },
    quality: config.number("quality"),
    ringing: config.boolean("final_sinc"),
  });
  const expected = config.strings("caption").join(",");
  if (parts.join(",") !== expected) throw new Error(`the caption is "${parts.join(",")}" instead of "${expected}"`);
}

/** One operation of the vocabulary of stages. */
function runStage(fixture: Fixture, device: Device, attributes: Attributes, image: Tensor): Tensor {
  const op = attributes.string("op");
  const values = (name: string): number | number[] => {
    const value = attributes.raw(name);
    return typeof value === "string" ? numbers(fixture, value) : attributes.number(name);
  };
  switch (op) {
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
function tensor(fixture: Fixture, device: Device, reference: string): Tensor {
  const { name, rows } = parseReference(reference);
  const whole = upload(fixture, device, name);
  return rows ? slice(whole, [rows]) : whole;
}

/** The same on the host: one number an image. */
function numbers(fixture: Fixture, reference: string): number[] {
  const { name, rows } = parseReference(reference);
  const values = [...stored(fixture, name).toFloat32()];
  return rows ? values.slice(...rows) : values;
}

function parseReference(reference: string): { readonly name: string; readonly rows: [number, number] | null } {
  const [, name, from, to] = /^(.+)\[(\d+):(\d+)\]$/.exec(reference) ?? [];
  return name === undefined ? { name: reference, rows: null } : { name, rows: [Number(from), Number(to)] };
}
