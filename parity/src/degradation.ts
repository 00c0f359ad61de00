/** The group `degradation`: blur kernels, filtering, noise, JPEG and the semantic-driven pipeline, from recorded random draws. */
import {
  type BlurKernelSpec,
  blurKernel,
  captionParts,
  diffJpeg,
  filter2d,
  padKernel,
  poissonRate,
} from "@deplsr/degradation";
import { backward, type Device, div, mul, requireGrad, slice, sum } from "@deplsr/tensor";
import { Attributes } from "./attributes.ts";
import { numbers, runStage, stageCases, tensor } from "./degradation-stages.ts";
import { type Case, type Driver, expectedNames, type Fixture, upload } from "./fixture.ts";

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
  config.inform("min_tie_distance"); // a property of the data
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
  config.inform("min_tie_distance");
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
      return { [name]: out, [gradient]: backward(loss, { wrt: [image], retainGraph: true }).get(image)! };
    },
  }));
}

function pipelineCases(fixture: Fixture, device: Device, config: Attributes): Case[] {
  if (config.has("caption")) checkCaption(config);
  // What the stages repeat, and facts of how the file was made.
  config.inform("blur_sigma", "kernel_size", "theta", "noise", "noise_sigma", "noise_scale", "quality", "final_sinc");
  config.inform("lq_size", "min_tie_distance");
  const stages = config.raw("stages");
  config.finish();
  return stageCases(fixture, device, stages);
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
