/** The group `dat`: the super-resolution network in inference and in training, and what `realdat` shares with it. */
import { configFromReference, DAT, imageToTokens, type Modulator } from "@deplsr/dat";
import { type Init, inference, l1Loss, type Mode, type Module } from "@deplsr/nn";
import { backward, clone, type Device, detach, noGrad, Rng, requireGrad, type Tensor } from "@deplsr/tensor";
import { Attributes } from "./attributes.ts";
import {
  type Case,
  type Driver,
  expectedNames,
  type Fixture,
  type Outputs,
  upload,
  withPrefix,
  zerosLike,
} from "./fixture.ts";

/** A network under test. */
export interface Network {
  readonly module: Module;
  readonly dat: DAT;
  /** What enters it beside the image, by the rest of its name after `in.`. */
  readonly conditions: readonly string[];
  readonly forward: (x: Tensor, conditions: Conditions, mode: Mode) => Tensor;
  /** What changes the tokens between its groups, and whether it has a block in front of a group. */
  readonly modulator: (x: Tensor, conditions: Conditions, mode: Mode) => Modulator | null;
  readonly fused: readonly number[];
}

/** Tensors by the rest of their names after `in.`. */
export type Conditions = ReadonlyMap<string, Tensor>;

/** Makes the network that a fixture's `args` describe, with the fixture's weights. */
export type Build = (fixture: Fixture, args: Readonly<Record<string, unknown>>, init: Init) => Network;

/** A case for each pass of which results are stored: `eval` and `train`. */
export const cases: Driver = (fixture, device) => networkCases(fixture, device, "DAT", buildDAT);

function buildDAT(fixture: Fixture, args: Readonly<Record<string, unknown>>, init: Init): Network {
  const dat = new DAT(configFromReference(args), init);
  dat.loadStateDict(withPrefix(fixture, "state."));
  return {
    module: dat,
    dat,
    conditions: [],
    forward: (x, _, mode) => dat.forward(x, { mode }),
    modulator: () => null,
    fused: [],
  };
}

/** The cases of a fixture of this kind, for any network built on a DAT. */
export function networkCases(fixture: Fixture, device: Device, model: string, build: Build): Case[] {
  const config = new Attributes(fixture.config, "config");
  config.oneOf("model", [model]);
  const args = config.raw("args") as Readonly<Record<string, unknown>>; // read by the model's own parser
  const parameters = config.optionalNumber("params");
  config.inform("batch", "height", "width"); // in.x shows them
  config.finish();
  const names = expectedNames(fixture);
  const unknown = names.find((name) => !/^(eval|train)\./.test(name));
  if (unknown !== undefined) throw new Error(`the result "${unknown}" is not understood`);
  return (["eval", "train"] as const).flatMap((pass): Case[] => {
    const wanted = names.filter((name) => name.startsWith(`${pass}.`)).map((name) => name.slice(pass.length + 1));
    if (wanted.length === 0) return [];
    const run = (): Outputs => {
      const rng = new Rng(0);
      const network = build(fixture, args, { device, rng });
      try {
        const count = network.module.parameterCount();
        if (parameters !== undefined && count !== parameters) {
          throw new Error(`the model has ${count} parameters instead of ${parameters}`);
        }
        const mode = pass === "train" ? { training: true, rng } : inference;
        const answers = new Pass(fixture, device, pass, network, mode).run(wanted);
        return Object.fromEntries(Object.entries(answers).map(([name, value]) => [`${pass}.${name}`, value]));
      } finally {
        network.module.dispose();
      }
    };
    return [{ name: pass, run }];
  });
}

/** One pass over a fixture's inputs. */
class Pass {
  readonly #fixture: Fixture;
  readonly #device: Device;
  readonly #name: string;
  readonly #network: Network;
  readonly #mode: Mode;

  constructor(fixture: Fixture, device: Device, name: string, network: Network, mode: Mode) {
    this.#fixture = fixture;
    this.#device = device;
    this.#name = name;
    this.#network = network;
    this.#mode = mode;
  }

  run(wanted: readonly string[]): Outputs {
    const learning = wanted.some((name) => /^(loss$|grad)/.test(name));
    const inputs = new Map(["x", ...this.#network.conditions].map((name) => [name, requireGrad(this.#input(name))]));
    const work = (): Outputs => this.#forward(inputs, wanted, learning);
    const answers: Record<string, Outputs[string]> = { ...(learning ? work() : noGrad(work)) };
    for (const name of wanted) {
      if (name.startsWith("state.")) answers[name] = this.#buffer(name.slice("state.".length));
      else if (name === "out2") answers[name] = noGrad(() => this.#second(inputs));
      else if (name.startsWith("inter."))
        answers[name] = noGrad(() => this.#intermediate(name.slice("inter.".length), inputs));
      else if (!(name in answers)) throw new Error(`the result "${this.#name}.${name}" is not understood`);
    }
    return answers;
  }

  #input(name: string): Tensor {
    return upload(this.#fixture, this.#device, `in.${name}`);
  }

  /** The output, the loss mean(|out − target|), and the wanted gradients of that loss. */
  #forward(inputs: Conditions, wanted: readonly string[], learning: boolean): Outputs {
    const out = this.#network.forward(inputs.get("x")!, inputs, this.#mode);
    if (!learning) return { out };
    const loss = l1Loss(out, this.#input("target"));
    const gradients = backward(loss, { retainGraph: true });
    const parameters = this.#network.module.parameters();
    const answers: Record<string, Outputs[string]> = { out: detach(out), loss: detach(loss) };
    for (const name of wanted) {
      const [, kind, of] = /^(grad|grad_in)\.(.+)$/.exec(name) ?? [];
      if (kind === undefined || of === undefined) continue;
      const tensor = kind === "grad" ? parameters.get(of) : inputs.get(of);
      if (!tensor) throw new Error(`there is no parameter or input "${of}"`);
      answers[name] = gradients.get(tensor) ?? zerosLike(this.#fixture, `${this.#name}.${name}`);
    }
    return answers;
  }

  #buffer(name: string): Tensor {
    const buffer = this.#network.module.buffers().get(name);
    if (!buffer) throw new Error(`there is no buffer "${name}"`);
    return clone(buffer);
  }

  /** Another image, with the conditions of the first one of the batch. */
  #second(inputs: Conditions): Tensor {
    const first = new Map([...inputs].map(([name, tensor]) => [name, tensor.narrow(0, 0, 1)]));
    return this.#network.forward(this.#input("x2"), first, this.#mode);
  }

  /** An intermediate result, by running the network's parts up to it. */
  #intermediate(name: string, inputs: Conditions): Tensor {
    const { dat, fused } = this.#network;
    const x = inputs.get("x")!;
    const size = [x.shape[2]!, x.shape[3]!] as const;
    const shallow = dat.shallow(x);
    if (name === "after_conv_first") return shallow;
    let tokens = dat.beforeGroups.forward(imageToTokens(shallow));
    if (name === "after_before_RG") return tokens;
    const modulator = this.#network.modulator(x, inputs, this.#mode);
    for (const [group, layer] of dat.layers.entries()) {
      tokens = modulator?.modulate(group, tokens) ?? tokens;
      // Fusion blocks are named after their group, or counted where not every group has one.
      if (
        fused.includes(group) &&
        (name === `after_fusion${group}` || name === `after_fusion${fused.indexOf(group)}`)
      ) {
        return tokens;
      }
      if (group === 0) {
        let inside = tokens;
        for (const [b, block] of layer.blocks.entries()) {
          if (name === `block${b}_attn`) return block.attn.forward(block.norm1.forward(inside), size, this.#mode);
          inside = block.forward(inside, size, this.#mode);
          if (new RegExp(`^after_block${b}(_(spatial|channel)(_shifted)?)?$`).test(name)) return inside;
        }
      }
      tokens = layer.forward(tokens, size, this.#mode);
      if (name === `after_group${group}`) return tokens;
    }
    if (name === "after_norm") return dat.norm.forward(tokens);
    throw new Error(`the intermediate result "${name}" is not understood`);
  }
}
