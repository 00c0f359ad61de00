/** CLIP-IQA. */
import { loadResNetCLIP, ResNetCLIP, type ResNetCLIPConfig, Tokenizer } from "@deplsr/clip";
import { CLIPIQA } from "@deplsr/metrics";
import { type Device, l2Normalize, noGrad, Rng, reshape, select, type Tensor } from "@deplsr/tensor";
import type { Attributes } from "../attributes.ts";
import type { Case, Fixture, Outputs } from "../fixture.ts";
import { activation, beginning, pixels } from "./activations.ts";
import { joined, numbered } from "./network.ts";
import { generatedWeights } from "./weights.ts";

export function clipiqaCase(fixture: Fixture, device: Device, config: Attributes): Case {
  const sizes = clipConfigOf(config);
  const names = numbered(config, "cases", "case");
  const prompts = config.strings("prompts");
  const weights = generatedWeights(config);
  config.finish();
  const run = (): Outputs => {
    const model = new ResNetCLIP(sizes, { device, rng: new Rng(0) });
    try {
      loadResNetCLIP(model, weights);
      return noGrad(() => {
        const ids = new Tokenizer().tensor(device, prompts, sizes.text.contextLength);
        const metric = new CLIPIQA(model, ids);
        const textFeatures = model.encodeText(ids);
        const answers = joined(names.map((name) => caseOutputs(fixture, device, model, metric, name)));
        metric.dispose();
        return {
          ...answers,
          ...beginning(fixture, "text_embedding.row0", select(model.text.embed(ids), 0, 0)),
          prompt_tokens: ids,
          text_features: textFeatures,
          text_features_normalized: l2Normalize(textFeatures),
        };
      });
    } finally {
      model.dispose();
    }
  };
  return { name: "", run };
}

/** `arch`, the arguments of OpenAI's constructor. */
export function clipConfigOf(config: Attributes): ResNetCLIPConfig {
  const arch = config.object("arch");
  const [first = 0, second = 0, third = 0, fourth = 0] = arch.numbers("vision_layers");
  if (arch.has("vision_patch_size")) throw new Error("config.arch.vision_patch_size is not understood");
  const sizes = {
    embedDim: arch.number("embed_dim"),
    quickGelu: true,
    vision: {
      imageSize: arch.number("image_resolution"),
      width: arch.number("vision_width"),
      layers: [first, second, third, fourth] as const,
    },
    text: {
      contextLength: arch.number("context_length"),
      vocabSize: arch.number("vocab_size"),
      width: arch.number("transformer_width"),
      heads: arch.number("transformer_heads"),
      layers: arch.number("transformer_layers"),
      mlpRatio: 4,
      layerScale: null,
    },
  };
  arch.finish();
  return sizes;
}

function caseOutputs(fixture: Fixture, device: Device, model: ResNetCLIP, metric: CLIPIQA, name: string): Outputs {
  const image = pixels(fixture, device, `${name}.rgb`);
  const input = metric.normalize(image);
  const { visual } = model;
  const first = visual.conv1.forward(input);
  const maps: Record<string, Tensor> = { conv1: first, avgpool: visual.stem(input) };
  let map = maps.avgpool!;
  for (const part of ["layer1", "layer2", "layer3", "layer4"] as const) {
    map = visual[part].reduce((x, block) => block.forward(x), map);
    maps[part] = map;
  }
  const features = model.encodeImage(input, { positions: false });
  const withPositions = model.encodeImage(input, { positions: true });
  const { logits, probabilities } = metric.judge(features);
  return {
    ...beginning(fixture, `${name}.input.crop`, select(input, 0, 0)),
    ...joined(Object.entries(maps).map(([part, x]) => activation(fixture, `${name}.${part}`, x))),
    [`${name}.image_features`]: reshape(features, [-1]),
    [`${name}.image_features_pos`]: reshape(withPositions, [-1]),
    [`${name}.logits`]: reshape(logits, [-1]),
    [`${name}.pair_probability`]: reshape(probabilities, [-1]),
    [`${name}.score`]: reshape(metric.forward(image), []),
    [`${name}.score_pos`]: reshape(metric.judge(withPositions).score, []),
  };
}
