import {
  type FieldNames,
  type Init,
  type LoadOptions,
  type LoadReport,
  Module,
  parameter,
  type StateDict,
} from "@deplsr/nn";
import type { Shape, Tensor } from "@deplsr/tensor";
import { type CLIPConfig, LOGIT_SCALE_START, type TextConfig } from "./config.ts";
import { CLIP_NAMES, clipName } from "./keys.ts";
import { type EncodeOptions, normalizeFeatures } from "./model.ts";
import { ModifiedResNet, type ResNetConfig, type ResNetOptions } from "./resnet.ts";
import { TextTransformer } from "./text.ts";

/** Sizes of a CLIP with a convolutional image tower. */
export interface ResNetCLIPConfig extends Pick<CLIPConfig, "embedDim" | "quickGelu"> {
  readonly vision: ResNetConfig;
  readonly text: TextConfig;
}

/** CLIP with a convolutional image tower, such as OpenAI's RN50. @see https://arxiv.org/abs/2103.00020 */
export class ResNetCLIP extends Module {
  readonly visual: ModifiedResNet;
  readonly text: TextTransformer;
  /** Scalar: the logarithm of the factor on the logits. */
  readonly logitScale: Tensor;
  readonly config: ResNetCLIPConfig;

  constructor(config: ResNetCLIPConfig, init: Init) {
    super();
    this.visual = new ModifiedResNet(config.vision, config.embedDim, init);
    this.text = new TextTransformer(config, init);
    this.logitScale = parameter(init.device.full([], LOGIT_SCALE_START));
    this.config = config;
  }

  override fieldNames(): FieldNames {
    return CLIP_NAMES;
  }

  /** Images `(b, 3, h, w)` of any size, normalised by CLIP's mean and deviation, to features `(b, embedDim)`. */
  encodeImage(image: Tensor, { normalize = false, ...options }: EncodeOptions & ResNetOptions = {}): Tensor {
    const features = this.visual.forward(image, options);
    return normalize ? normalizeFeatures(features) : features;
  }

  /** Token ids `(b, n) i32` to features `(b, embedDim)`. */
  encodeText(ids: Tensor, { normalize = false }: EncodeOptions = {}): Tensor {
    const features = this.text.forward(ids);
    return normalize ? normalizeFeatures(features) : features;
  }
}

/**
 * Loads the tensors of a published file into a model: names as in OpenAI's files (`RN50.pt`), with or without the prefixes `module.` and
 * `text.`. The counters of the batch normalisations may be missing.
 *
 * @throws StateDictError naming every tensor that is missing, unexpected or mis-shaped
 */
export function loadResNetCLIP(
  model: ResNetCLIP,
  entries: StateDict,
  options: Omit<LoadOptions, "rename"> = {},
): LoadReport {
  return model.loadStateDict(entries, {
    allowMissing: (name) => name.endsWith(".num_batches_tracked"),
    ...options,
    rename: clipName,
  });
}

/**
 * The configuration of a CLIP with a convolutional image tower from the names and shapes of its tensors; null when they are not those of
 * one. The activation, which shapes do not tell, is OpenAI's quick GELU; heads of the text tower have 64 channels.
 */
export function detectResNetCLIP(shapes: ReadonlyMap<string, Shape>): ResNetCLIPConfig | null {
  const found = new Map([...shapes].flatMap(([name, shape]) => [[clipName(name) ?? "", shape] as const]));
  const size = (name: string, axis: number): number => found.get(name)?.[axis] ?? 0;
  const children = (prefix: string): number => {
    const below = [...found.keys()].filter((name) => name.startsWith(prefix));
    return new Set(below.map((name) => name.slice(prefix.length).split(".")[0])).size;
  };
  const width = size("visual.layer1.0.conv1.weight", 0);
  const [tokens, textWidth] = [size("visual.attnpool.positional_embedding", 0), size("token_embedding.weight", 1)];
  if (width === 0 || tokens === 0 || textWidth === 0) return null;
  return {
    embedDim: size("text_projection", 1),
    quickGelu: true,
    vision: {
      imageSize: 32 * Math.round(Math.sqrt(tokens - 1)),
      width,
      layers: [
        children("visual.layer1."),
        children("visual.layer2."),
        children("visual.layer3."),
        children("visual.layer4."),
      ],
    },
    text: {
      contextLength: size("positional_embedding", 0),
      vocabSize: size("token_embedding.weight", 0),
      width: textWidth,
      heads: textWidth / 64,
      layers: children("transformer.resblocks."),
      mlpRatio: size("transformer.resblocks.0.mlp.c_fc.weight", 0) / textWidth,
      layerScale: null,
    },
  };
}
