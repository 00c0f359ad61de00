/** The group `fusion`: cross attention, cross attention fusion and fusion blocks, and their gradients. */
import type { Init, Module } from "@deplsr/nn";
import { CrossAttention, CrossAttentionFusion, FusionBlock } from "@deplsr/srclip";
import { add, backward, detach, mul, Rng, requireGrad, sum, type Tensor } from "@deplsr/tensor";
import { Attributes } from "./attributes.ts";
import { type Driver, expectedNames, type Fixture, type Outputs, upload, withPrefix, zerosLike } from "./fixture.ts";

/** A module and its results by name. */
interface Part {
  readonly module: Module;
  readonly forward: (input: (name: string) => Tensor) => Readonly<Record<string, Tensor>>;
}

/** Makes a module from a fixture's `args`. */
type Build = (args: Attributes, init: Init) => Part;

const MODELS = {
  CrossAttention: (args, init) => {
    const module = new CrossAttention(args.number("dim"), attentionOptions(args), init);
    return { module, forward: (input) => ({ ...module.forward(input("x1"), input("x2")) }) };
  },
  CrossAttention_Fusion: (args, init) => {
    const options = { ...attentionOptions(args), dimRatio: args.optionalNumber("dim_ratio") ?? 1 };
    const module = new CrossAttentionFusion(args.number("dim"), options, init);
    return { module, forward: (input) => ({ ...module.forward(input("x"), input("xi"), input("xd")) }) };
  },
  FusionBlock: (args, init) => {
    const ratios = {
      attnRatio: args.optionalNumber("attn_ratio") ?? 1,
      mlpRatio: args.optionalNumber("mlp_ratio") ?? 1,
    };
    const module = new FusionBlock(args.number("dim"), { ...attentionOptions(args), ...ratios }, init);
    return { module, forward: (input) => ({ ...module.forward(input("x"), input("xi"), input("xd")) }) };
  },
} as const satisfies Record<string, Build>;

function attentionOptions(args: Attributes): { numHeads: number; qkvBias: boolean } {
  return { numHeads: args.number("num_heads"), qkvBias: args.has("qkv_bias") ? args.boolean("qkv_bias") : false };
}

/** One case: the results, and the gradients of the sum over them of sum(out · grad_out). */
export const cases: Driver = (fixture, device) => {
  const config = new Attributes(fixture.config, "config");
  const build: Build = MODELS[config.oneOf("model", ["CrossAttention", "CrossAttention_Fusion", "FusionBlock"])];
  const args = config.object("args");
  const parameters = config.optionalNumber("params");
  config.finish();
  const run = (): Outputs => {
    const { module, forward } = build(args, { device, rng: new Rng(0) });
    args.finish();
    try {
      module.loadStateDict(withPrefix(fixture, "state."));
      const count = module.parameterCount();
      if (parameters !== undefined && count !== parameters) {
        throw new Error(`the model has ${count} parameters instead of ${parameters}`);
      }
      const inputs = new Map<string, Tensor>();
      const input = (name: string): Tensor => {
        const tensor = inputs.get(name) ?? requireGrad(upload(fixture, device, `in.${name}`));
        inputs.set(name, tensor);
        return tensor;
      };
      const results = forward(input);
      const gradients = gradientsOf(results, (name) => {
        const key = `grad_out.${name}`;
        return fixture.tensors.has(key) ? upload(fixture, device, key) : null;
      });
      return answer(fixture, results, module.parameters(), inputs, gradients);
    } finally {
      module.dispose();
    }
  };
  return [{ name: "", run }];
};

function gradientsOf(
  results: Readonly<Record<string, Tensor>>,
  weight: (name: string) => Tensor | null,
): ReadonlyMap<Tensor, Tensor> {
  const terms = Object.entries(results).flatMap(([name, result]) => {
    const by = weight(name);
    return by ? [sum(mul(result, by))] : [];
  });
  return terms.length > 0
    ? backward(
        terms.reduce((a, b) => add(a, b)),
        { retainGraph: true },
      )
    : new Map();
}

function answer(
  fixture: Fixture,
  results: Readonly<Record<string, Tensor>>,
  parameters: ReadonlyMap<string, Tensor>,
  inputs: ReadonlyMap<string, Tensor>,
  gradients: ReadonlyMap<Tensor, Tensor>,
): Outputs {
  const answers: Record<string, Outputs[string]> = {};
  for (const name of expectedNames(fixture)) {
    const [, kind, of] = /^(out|grad|grad_in)\.(.+)$/.exec(name) ?? [];
    if (kind === undefined || of === undefined) throw new Error(`the result "${name}" is not understood`);
    if (kind === "out") {
      const result = results[of];
      if (!result) throw new Error(`there is no result "${of}"`);
      answers[name] = detach(result);
      continue;
    }
    const tensor = kind === "grad" ? parameters.get(of) : inputs.get(of);
    if (!tensor) throw new Error(`there is no parameter or input "${of}"`);
    answers[name] = gradients.get(tensor) ?? zerosLike(fixture, name);
  }
  return answers;
}
