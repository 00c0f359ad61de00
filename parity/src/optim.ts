/** The group `optim`: optimizer steps on a small network, gradient clipping and learning-rate schedules. */
import {
  Adam,
  AdamW,
  clipGradNorm,
  constantCooldownSchedule,
  constantSchedule,
  cosineRestartSchedule,
  cosineSchedule,
  Ema,
  type Layer,
  Linear,
  l1Loss,
  mseLoss,
  multiStepRestartSchedule,
  type ParameterGroup,
  type Schedule,
  Sequential,
} from "@deplsr/nn";
import {
  backward,
  clone,
  type Device,
  detach,
  gelu,
  quickGelu,
  Rng,
  relu,
  sigmoid,
  stack,
  type Tensor,
  tanh,
} from "@deplsr/tensor";
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
} from "./fixture.ts";

/** A case for each optimizer, each norm or each schedule. */
export const cases: Driver = (fixture, device) => {
  if (!("op" in fixture.config)) return scheduleCases(fixture);
  const config = new Attributes(fixture.config, "config");
  const op = config.oneOf("op", ["optimizer_steps", "clip_grad_norm"]);
  return op === "optimizer_steps" ? optimizerCases(fixture, device, config) : clippingCases(fixture, device, config);
};

const ACTIVATIONS: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  GELU: gelu,
  QuickGELU: quickGelu,
  ReLU: relu,
  Sigmoid: sigmoid,
  Tanh: tanh,
};

/** The network that a text such as "Linear(6,16) GELU Linear(16,3)" describes. */
function buildNetwork(text: string, device: Device): Sequential {
  const init = { device, rng: new Rng(0) };
  const layers = text.split(/\s+(?![^(]*\))/).map((word): Layer => {
    const [, input, output] = /^Linear\((\d+),\s*(\d+)\)$/.exec(word) ?? [];
    if (input !== undefined && output !== undefined) return new Linear(Number(input), Number(output), {}, init);
    const activation = Object.hasOwn(ACTIVATIONS, word) ? ACTIVATIONS[word] : undefined;
    if (!activation) throw new Error(`config.model: the layer "${word}" is not understood`);
    return activation;
  });
  return new Sequential(...layers);
}

const LOSSES: Readonly<Record<string, typeof mseLoss>> = {
  "mean((model(x)-y)^2), full batch": mseLoss,
  "mean(|model(x)-y|), full batch": l1Loss,
};

interface Training {
  readonly model: string;
  readonly loss: typeof mseLoss;
  readonly optimizer: typeof Adam;
  readonly settings: Omit<ParameterGroup, "params"> & { readonly weightDecay: number };
  /** Leaves tensors of one axis without weight decay. */
  readonly sparesBiases: boolean;
  readonly steps: number;
  readonly clip: number | undefined;
  readonly emaDecay: number | undefined;
  readonly schedule: Schedule | undefined;
}

function optimizerCases(fixture: Fixture, device: Device, config: Attributes): Case[] {
  const model = config.string("model");
  const lossName = config.string("loss");
  const loss = Object.hasOwn(LOSSES, lossName) ? LOSSES[lossName] : undefined;
  if (!loss) throw new Error(`config.loss: "${lossName}" is not understood`);
  const all = config.object("cases");
  config.finish();
  return all.names().map((name) => {
    const one = all.object(name);
    // What is said in words: "no weight decay for biases (ndim<2)".
    const note = one.raw("note");
    const lr = one.number("lr");
    const training: Training = {
      model,
      loss,
      optimizer: one.oneOf("optimizer", ["Adam", "AdamW"]) === "Adam" ? Adam : AdamW,
      settings: { lr, betas: one.pair("betas"), eps: one.number("eps"), weightDecay: one.number("weight_decay") },
      sparesBiases: typeof note === "string" && /no weight decay for bias/i.test(note),
      steps: one.number("steps"),
      clip: one.optionalNumber("clip_grad_norm"),
      emaDecay: one.optionalNumber("ema_decay"),
      schedule: one.has("schedule") ? parseSchedule(one.string("schedule"), lr) : undefined,
    };
    one.finish();
    return { name, run: () => train(fixture, device, name, training) };
  });
}

function parseSchedule(text: string, baseLr: number): Schedule {
  const [, warmup, total] = /^cosine with warmup (\d+), total (\d+)$/.exec(text) ?? [];
  if (warmup === undefined) throw new Error(`config: the schedule "${text}" is not understood`);
  return cosineSchedule({ baseLr, warmup: Number(warmup), total: Number(total) });
}

/** Trains from the stored start and answers what is stored of the way: losses, norms, rates, parameters, averages, moments. */
function train(fixture: Fixture, device: Device, name: string, training: Training): Outputs {
  const network = buildNetwork(training.model, device);
  network.loadStateDict(withPrefix(fixture, "init."));
  const optimizer = new training.optimizer(groups(network.parameters(), training));
  const ema = training.emaDecay === undefined ? undefined : new Ema(network, training.emaDecay);
  const x = upload(fixture, device, "in.x");
  const y = upload(fixture, device, "in.y");
  const answers: Record<string, Outputs[string]> = {};
  const answer = (key: string, tensors: ReadonlyMap<string, Tensor>): void => {
    for (const [param, tensor] of tensors) {
      if (fixture.tensors.has(`${name}.${key}${param}`)) answers[`${name}.${key}${param}`] = clone(tensor);
    }
  };
  const losses: Tensor[] = [];
  const norms: Tensor[] = [];
  const rates: number[] = [];
  for (let step = 0; step < training.steps; step++) {
    if (training.schedule) optimizer.setLearningRate(training.schedule(step));
    rates.push(optimizer.lr[0]!);
    const loss = training.loss(network.forward(x), y);
    let grads = backward(loss);
    losses.push(detach(loss));
    if (training.clip !== undefined) {
      const clipped = clipGradNorm(grads, training.clip);
      norms.push(clipped.norm);
      grads = clipped.grads;
    }
    optimizer.step(grads);
    ema?.update();
    answer(`step${step + 1}.`, network.parameters());
  }
  losses.push(detach(training.loss(network.forward(x), y)));
  answer("", optimizer.stateDict().tensors);
  if (ema) answer("ema.", ema.stateDict());
  network.dispose();
  optimizer.dispose();
  ema?.dispose();
  return {
    ...answers,
    [`${name}.losses`]: stack(losses, 0),
    [`${name}.lr`]: { shape: [rates.length], data: rates },
    ...(norms.length > 0 && { [`${name}.grad_norms`]: stack(norms, 0) }),
  };
}

function groups(parameters: ReadonlyMap<string, Tensor>, { settings, sparesBiases }: Training): ParameterGroup[] {
  if (!sparesBiases) return [{ ...settings, params: parameters }];
  const pick = (wanted: (tensor: Tensor) => boolean): Map<string, Tensor> =>
    new Map([...parameters].filter(([, tensor]) => wanted(tensor)));
  return [
    { ...settings, params: pick((tensor) => tensor.rank >= 2) },
    { ...settings, params: pick((tensor) => tensor.rank < 2), weightDecay: 0 },
  ];
}

function clippingCases(fixture: Fixture, device: Device, config: Attributes): Case[] {
  config.assume("formula", "coef = max_norm/(total_norm+1e-6), clamped to 1");
  const all = config.object("cases");
  config.finish();
  return all.names().map((name) => {
    const maxNorm = all.number(name);
    const run = (): Outputs => {
      const names = [...withPrefix(fixture, "in.grad.").keys()];
      // A gradient is found by its parameter; here they are their own.
      const given = new Map(names.map((index) => [index, upload(fixture, device, `in.grad.${index}`)]));
      const { grads, norm } = clipGradNorm(new Map([...given.values()].map((grad) => [grad, grad])), maxNorm);
      const clipped = [...given].map(([index, grad]) => [`${name}.grad.${index}`, grads.get(grad)!] as const);
      return { ...Object.fromEntries(clipped), [`${name}.total_norm`]: norm };
    };
    return { name, run };
  });
}

function scheduleCases(fixture: Fixture): Case[] {
  const all = new Attributes(fixture.config, "config");
  return expectedNames(fixture).map((name) => {
    const attributes = all.object(name);
    const lr = schedule(attributes);
    attributes.finish();
    const { shape } = stored(fixture, name);
    const data = Array.from({ length: shape[0] ?? 0 }, (_, step) => lr(step));
    return { name, run: () => ({ [name]: { shape, data } }) };
  });
}

const SCHEDULES = {
  cosine_lr: (a) => cosineSchedule({ ...warmup(a), total: a.number("total") }),
  const_lr: (a) => {
    a.inform("total");
    return constantSchedule(warmup(a));
  },
  const_lr_cooldown: (a) =>
    constantCooldownSchedule({
      ...warmup(a),
      total: a.number("total"),
      cooldownSteps: a.number("cooldown_steps"),
      power: a.optionalNumber("power") ?? 1,
      endLr: a.optionalNumber("end_lr") ?? 0,
    }),
  multistep_restart: (a) =>
    multiStepRestartSchedule({
      baseLr: a.number("base_lr"),
      milestones: a.numbers("milestones"),
      gamma: a.optionalNumber("gamma") ?? 0.1,
      ...(a.has("restarts") && { restarts: a.numbers("restarts") }),
      ...(a.has("restart_weights") && { restartWeights: a.numbers("restart_weights") }),
    }),
  cosine_annealing_restart: (a) =>
    cosineRestartSchedule({
      baseLr: a.number("base_lr"),
      periods: a.numbers("periods"),
      etaMin: a.optionalNumber("eta_min") ?? 0,
      ...(a.has("restart_weights") && { restartWeights: a.numbers("restart_weights") }),
    }),
} as const satisfies Record<string, (attributes: Attributes) => Schedule>;

function schedule(attributes: Attributes): Schedule {
  attributes.inform("value"); // words: which step each value belongs to
  const types = Object.keys(SCHEDULES) as (keyof typeof SCHEDULES)[]; // the keys of a literal object
  return SCHEDULES[attributes.oneOf("type", types)](attributes);
}

function warmup(attributes: Attributes): { baseLr: number; warmup: number } {
  return { baseLr: attributes.number("base_lr"), warmup: attributes.optionalNumber("warmup") ?? 0 };
}
