/** The group `srclip`: the model with its adaptor, how the adaptor starts, and the losses. */
import { type CLIPConfig, parseOpenClipConfig } from "@deplsr/clip";
import {
  type ContrastiveKind,
  loadSrCLIP,
  runAdaptor,
  SrCLIP,
  type SrCLIPLoss,
  type SrCLIPOutput,
  SrCLIPV2,
  srclipConfig,
  srclipLoss,
} from "@deplsr/srclip";
import { backward, clone, type Device, detach, noGrad, Rng, requireGrad, type Tensor } from "@deplsr/tensor";
import { Attributes } from "./attributes.ts";
import {
  type Case,
  type Driver,
  expectedNames,
  type Fixture,
  type Outputs,
  stored,
  upload,
  withPrefix,
  zerosLike,
} from "./fixture.ts";

/** One case a fixture; the losses have one for each kind. */
export const cases: Driver = (fixture, device) => {
  const config = new Attributes(fixture.config, "config");
  if (!config.has("op")) return [modelCase(fixture, device, config)];
  const op = config.oneOf("op", ["initial_controller", "srclip_losses"]);
  return op === "srclip_losses" ? lossCases(fixture, device, config) : [startCase(fixture, device, config)];
};

/** Makes the model that a configuration names, with the bias of SigLIP where `biased`. */
function modelMaker(config: Attributes, device: Device, biased: boolean): () => SrCLIP {
  const version = config.oneOf("model", ["SrCLIP", "SrCLIPV2"]);
  const clip: CLIPConfig = parseOpenClipConfig(config.raw("args"));
  const fineDegradations = config.optionalNumber("scale_degra_dim") ?? 5;
  const sizes = srclipConfig(clip, { loss: biased ? "siglip" : "clip", fineDegradations });
  const init = { device, rng: new Rng(0) };
  return () => (version === "SrCLIP" ? new SrCLIP(sizes, init) : new SrCLIPV2(sizes, init));
}

function modelCase(fixture: Fixture, device: Device, config: Attributes): Case {
  const make = modelMaker(config, device, fixture.tensors.has("state.logit_bias"));
  const { kind, weights } = parseLoss(config.string("loss"));
  const counts = { all: config.optionalNumber("params"), trained: config.optionalNumber("trainable_params") };
  config.inform("batch"); // in.image shows it
  config.finish();
  const run = (): Outputs => {
    const model = make();
    try {
      loadSrCLIP(model, withPrefix(fixture, "state."));
      model.lockCLIP();
      checkCounts(model, counts);
      return runModel(fixture, device, model, { kind, ...(weights && { weights }) });
    } finally {
      model.dispose();
    }
  };
  return { name: "", run };
}

/** "SrClipLossV2 weights 0.2/0.3/0.5": the kind of loss, and the weights where there are any. */
function parseLoss(text: string): { kind: ContrastiveKind; weights: number[] | null } {
  const [, name, weights] = /^(\w+)(?: weights ([\d./]+))?$/.exec(text) ?? [];
  const kinds: Readonly<Record<string, ContrastiveKind>> = {
    SrClipLoss: "clip",
    SrClipLossV2: "clip",
    SrClipSigLipLoss: "siglip",
  };
  const kind = name !== undefined && Object.hasOwn(kinds, name) ? kinds[name] : undefined;
  if (!kind) throw new Error(`config.loss: "${text}" is not understood`);
  return { kind, weights: weights === undefined ? null : weights.split("/").map(Number) };
}

function checkCounts(model: SrCLIP, { all, trained }: { all: number | undefined; trained: number | undefined }): void {
  const count = model.parameterCount();
  if (all !== undefined && count !== all) throw new Error(`the model has ${count} parameters instead of ${all}`);
  let free = 0;
  for (const tensor of model.parameters().values()) if (tensor.requiresGrad) free += tensor.size;
  if (trained !== undefined && free !== trained)
    throw new Error(`${free} parameters are trained instead of ${trained}`);
}

/** Features, taps, losses, and the gradients of the total loss for what is trained. */
function runModel(fixture: Fixture, device: Device, model: SrCLIP, options: Parameters<typeof srclipLoss>[1]): Outputs {
  const image = upload(fixture, device, "in.image");
  const output = model.forward({ image, ids: stored(fixture, "in.text").toInt32() });
  const loss = srclipLoss(output, options);
  const gradients = backward(loss.total, { retainGraph: true });
  const results = {
    ...noGrad(() => plainFeatures(model, image)),
    ...lossNames(loss),
    image_features_normalized: output.image?.content,
    degra_features_normalized: output.image?.degradation,
    fine_degra_features_normalized: output.image?.fine,
    text_features: output.text?.caption,
    text_degra_features: output.text?.degradation,
    text_fine_degra_features: output.text?.fine,
  };
  const answers: Record<string, Outputs[string]> = {};
  for (const [name, tensor] of Object.entries(results)) if (tensor) answers[`out.${name}`] = detach(tensor);
  const parameters = model.parameters();
  for (const name of expectedNames(fixture)) {
    const parameter = name.startsWith("grad.") ? parameters.get(name.slice("grad.".length)) : undefined;
    if (parameter) answers[name] = gradients.get(parameter) ?? zerosLike(fixture, name);
  }
  return answers;
}

/** Features before normalisation, without the control, and the taps. */
function plainFeatures(model: SrCLIP, image: Tensor): Record<string, Tensor | null> {
  const { content, degradation, fine } = model.encodeImage(image);
  const { taps } = runAdaptor(model.visualControl, image);
  return {
    ...Object.fromEntries(taps.map((tap, block) => [`hiddens.${block}`, tap])),
    image_features: content,
    degra_features: degradation,
    fine_degra_features: fine,
    image_features_no_control: model.encodeImage(image, { control: false }).content,
  };
}

function lossNames(loss: SrCLIPLoss): Record<string, Tensor | null> {
  return {
    contrastive_loss: loss.contrastive,
    degra_loss: loss.degradation,
    fine_degra_loss: loss.fine,
    loss: loss.total,
  };
}

/** The state after the adaptor was started from the tower as the reference does it. */
function startCase(fixture: Fixture, device: Device, config: Attributes): Case {
  const make = modelMaker(config, device, fixture.tensors.has("before.logit_bias"));
  config.inform("changed_zero_modules", "not_copied"); // the results show them
  config.finish();
  const run = (): Outputs => {
    const model = make();
    try {
      // What takes no part, the text tower for one, need not be stored.
      loadSrCLIP(model, withPrefix(fixture, "before."), { allowMissing: true });
      model.startController("reference");
      const state = [...model.stateDict()].filter(([name]) => fixture.tensors.has(`after.${name}`));
      return Object.fromEntries(state.map(([name, tensor]) => [`after.${name}`, clone(tensor)]));
    } finally {
      model.dispose();
    }
  };
  return { name: "", run };
}

function lossCases(fixture: Fixture, device: Device, config: Attributes): Case[] {
  const weights = config.numbers("weights");
  config.inform("batch", "degradations", "dim"); // the inputs show them
  config.finish();
  const kinds = new Set(expectedNames(fixture).map((name) => name.split(".", 1)[0]));
  return [...kinds].map((kind) => {
    if (kind !== "clip" && kind !== "siglip") throw new Error(`the loss "${kind}" is not understood`);
    return { name: kind, run: () => runLoss(fixture, device, kind, weights) };
  });
}

function runLoss(fixture: Fixture, device: Device, kind: ContrastiveKind, weights: readonly number[]): Outputs {
  const inputs = new Map(
    [...withPrefix(fixture, "in.").keys()].map((name) => [name, requireGrad(upload(fixture, device, `in.${name}`))]),
  );
  const input = (name: string): Tensor => {
    const tensor = inputs.get(name);
    if (!tensor) throw new Error(`there is no input "${name}"`);
    return tensor;
  };
  const output: SrCLIPOutput = {
    image: {
      content: input("image_features"),
      degradation: input("image_degra_features"),
      fine: inputs.get("image_fine_degra_features") ?? null,
    },
    text: {
      caption: input("text_features"),
      degradation: input("text_degra_features"),
      fine: inputs.get("text_fine_degra_features") ?? null,
    },
    logitScale: input("logit_scale"), // stored as the factor, not as its logarithm
    logitBias: inputs.get("logit_bias") ?? null,
  };
  const loss = srclipLoss(output, { kind, weights });
  const gradients = backward(loss.total, { retainGraph: true });
  const answers: Record<string, Outputs[string]> = {};
  for (const [name, tensor] of Object.entries(lossNames(loss))) if (tensor) answers[`${kind}.${name}`] = detach(tensor);
  for (const [name, tensor] of inputs) {
    const key = `${kind}.grad.${name}`;
    if (fixture.tensors.has(key)) answers[key] = gradients.get(tensor) ?? zerosLike(fixture, key);
  }
  return answers;
}
