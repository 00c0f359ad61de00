/** The group `clip`: the model, its tokenizer, its preprocessing, and the resizing of positional embeddings. */
import {
  CLIP,
  centerCropOrPad,
  clipLoss,
  loadCLIP,
  logits,
  normalizeFeatures,
  normalizeImage,
  type PixelImage,
  parseOpenClipConfig,
  resizeImagePositions,
  resizeToFit,
  siglipLoss,
  Tokenizer,
} from "@deplsr/clip";
import {
  backward,
  type Device,
  detach,
  exp,
  Rng,
  readSafetensors,
  requireGrad,
  type Tensor,
  transpose,
} from "@deplsr/tensor";
import { Attributes } from "./attributes.ts";
import { counted } from "./counted.ts";
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

/** One case a fixture. */
export const cases: Driver = async (fixture, device) => {
  if (fixture.path.endsWith(".json")) return [tokenizerCase(fixture)];
  if (fixture.tensors.size === 0) return [await pictureCase(fixture)];
  const config = new Attributes(fixture.config, "config");
  if (config.has("model")) return [modelCase(fixture, device, config)];
  const op = config.oneOf("op", ["clip_preprocess", "resize_pos_embed"]);
  return [op === "clip_preprocess" ? preprocessCase(fixture, config) : positionCase(fixture, device, config)];
};

function modelCase(fixture: Fixture, device: Device, config: Attributes): Case {
  config.oneOf("model", ["CLIP"]);
  const sizes = parseOpenClipConfig(config.raw("args"));
  const parameters = config.optionalNumber("params");
  config.inform("batch"); // in.image shows it
  config.finish();
  const start = fixture.tensors.has("state.logit_bias") ? { ...sizes, logitBiasStart: 0 } : sizes;
  const run = (): Outputs => {
    const model = new CLIP(start, { device, rng: new Rng(0) });
    try {
      loadCLIP(model, withPrefix(fixture, "state."));
      const count = model.parameterCount();
      if (parameters !== undefined && count !== parameters) {
        throw new Error(`the model has ${count} parameters instead of ${parameters}`);
      }
      return runModel(fixture, device, model);
    } finally {
      model.dispose();
    }
  };
  return { name: "", run };
}

/** Features, logits and loss of the stored batch, what the blocks give on the way, and the gradients of the loss. */
function runModel(fixture: Fixture, device: Device, model: CLIP): Outputs {
  const image = requireGrad(upload(fixture, device, "in.image"));
  const ids = upload(fixture, device, "in.text");
  const results: Record<string, Tensor> = {};
  const watch = (tower: string): { afterBlock: (x: Tensor, block: number) => Tensor } => ({
    afterBlock: (x, block) => {
      results[`inter.${tower}_block${block}`] = x;
      return x;
    },
  });
  const { visual, text } = model;
  results["inter.visual_conv1"] = visual.conv1.forward(image);
  const tokens = visual.embed(image);
  results["inter.visual_ln_pre"] = tokens;
  const imageFeatures = visual.pool(visual.transformer.forward(tokens, watch("visual")));
  const textFeatures = text.forward(ids, watch("text"));
  results["out.image_features"] = imageFeatures;
  results["out.text_features"] = textFeatures;
  const pair = { image: normalizeFeatures(imageFeatures), text: normalizeFeatures(textFeatures) };
  const scale = { logitScale: exp(model.logitScale), logitBias: model.logitBias };
  results["out.image_features_normalized"] = pair.image;
  results["out.text_features_normalized"] = pair.text;
  const perImage = logits(pair.image, pair.text, scale.logitScale, scale.logitBias);
  results["out.logits_per_image"] = perImage;
  results["out.logits_per_text"] = transpose(perImage, 0, 1);
  const loss = (model.logitBias ? siglipLoss : clipLoss)({ ...pair, ...scale });
  results["out.loss"] = loss;
  const gradients = backward(loss, { retainGraph: true });
  const answers: Record<string, Outputs[string]> = {};
  for (const [name, tensor] of Object.entries(results)) answers[name] = detach(tensor);
  const parameters = model.parameters();
  for (const name of expectedNames(fixture)) {
    const parameter = name.startsWith("grad.") ? parameters.get(name.slice("grad.".length)) : undefined;
    const leaf = name === "grad_in.image" ? image : parameter;
    if (leaf) answers[name] = gradients.get(leaf) ?? zerosLike(fixture, name);
  }
  return answers;
}

function preprocessCase(fixture: Fixture, config: Attributes): Case {
  const size = config.number("size");
  const mean = config.numbers("mean");
  const std = config.numbers("std");
  const mode = config.oneOf("resize_mode", ["shortest", "longest", "squash"]);
  const fill = config.optionalNumber("fill_color") ?? 0;
  config.assume("interpolation", "bicubic, antialias, 8-bit PIL resampling");
  config.inform("source"); // in.image shows it
  config.finish();
  const input = stored(fixture, "in.image");
  const [height = 0, width = 0, channels = 1] = input.shape;
  if (channels !== 1 && channels !== 3) throw new Error(`an image of ${channels} channels is not understood`);
  const run = (): Outputs => {
    const image: PixelImage = { width, height, channels, data: Uint8Array.from(input.toInt32()) };
    const resized = resizeToFit(image, size, mode);
    const cropped = centerCropOrPad(resized, size, fill);
    const shaped = ({ data, ...at }: PixelImage): Outputs[string] => ({
      shape: input.shape.length === 2 ? [at.height, at.width] : [at.height, at.width, channels],
      data,
    });
    return {
      "out.resized": shaped(resized),
      "out.cropped": shaped(cropped),
      "out.tensor": { shape: [3, size, size], data: normalizeImage(cropped, mean, std) },
    };
  };
  return { name: "", run };
}

function positionCase(fixture: Fixture, device: Device, config: Attributes): Case {
  const grid = config.number("new_grid");
  config.inform("old_grid", "width"); // in.positional_embedding shows them
  config.finish();
  const run = (): Outputs => ({
    "out.positional_embedding": resizeImagePositions(upload(fixture, device, "in.positional_embedding"), grid),
  });
  return { name: "", run };
}

/** How the rows are compared, at the beginning of what a file says of it. */
const EXACT = "exact integers; rows with needs_ftfy=false: the result must equal ids";

/** Every row must equal `ids`, also those of which the file would accept the ids without the repair of the text. */
function tokenizerCase(fixture: Fixture): Case {
  const file = new Attributes(fixture.config, "the file");
  file.inform("group", "description", "tolerance");
  const compare = file.has("compare") ? file.string("compare") : EXACT;
  if (!compare.startsWith(EXACT)) {
    throw new Error(`compare: "${compare}" is not understood`);
  }
  const contextLength = file.number("context_length");
  const rows = file.objects("cases").map((row) => {
    const text = row.string("text");
    const ids = row.numbers("ids");
    row.inform("needs_ftfy", "ids_without_ftfy");
    row.finish();
    return { text, ids };
  });
  file.finish();
  const run = (): Outputs => {
    const tokenizer = new Tokenizer();
    const wrong = rows.filter(({ text, ids }) => tokenizer.tokenize([text], contextLength).join() !== ids.join());
    const [first] = wrong;
    if (first)
      throw new Error(`${wrong.length} of ${rows.length} texts differ, the first is ${JSON.stringify(first.text)}`);
    return {};
  };
  return { name: counted(rows.length, "text"), run };
}

/** A picture that must decode to a tensor of another fixture. */
async function pictureCase(fixture: Fixture): Promise<Case> {
  const [, name, file] = /^decodes \(8-bit \w+\) exactly to (\S+) of (\S+)$/.exec(fixture.expectation) ?? [];
  if (name === undefined || file === undefined) {
    throw new Error(`the expectation "${fixture.expectation}" is not understood`);
  }
  const expected = readSafetensors(await fixture.sibling(file)).tensors.get(name);
  if (!expected) throw new Error(`${file} has no tensor "${name}"`);
  const picture = await fixture.decode();
  const { width, height } = picture;
  const run = (): Outputs => {
    const [rows, columns, channels = 1] = expected.shape;
    if (rows !== height || columns !== width || (channels !== 1 && channels !== 3)) {
      throw new Error(`decodes to ${width}x${height} instead of [${expected.shape.join(", ")}]`);
    }
    // Grey counts as three equal channels, whether the decoder gives one or three.
    const values = expected.toInt32();
    const valueAt = (data: ArrayLike<number>, i: number, of: number): number => data[of === 3 ? i : Math.floor(i / 3)]!;
    const all = Array.from({ length: rows * columns * 3 }, (_, i) => i);
    const different = all.filter(
      (i) => valueAt(picture.data, i, picture.channels) !== valueAt(values, i, channels),
    ).length;
    if (different > 0) throw new Error(`${different} of ${all.length} values differ from ${name} of ${file}`);
    return {};
  };
  return { name: "", run };
}
