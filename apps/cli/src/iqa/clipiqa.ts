/** CLIP-IQA over the CLIP of this repository. */
import { detectResNetCLIP, loadResNetCLIP, ResNetCLIP, Tokenizer } from "@deplsr/clip";
import { CLIPIQA_PROMPTS, clipiqaMetric, type LearnedMetric } from "@deplsr/metrics";
import { FileFormatError, Rng } from "@deplsr/tensor";

/** CLIP-IQA; its file is OpenAI's `RN50.pt`. */
export const CLIPIQA_METRIC: LearnedMetric = clipiqaMetric((device, weights) => {
  const config = detectResNetCLIP(new Map([...weights].map(([name, { shape }]) => [name, shape])));
  if (!config)
    throw new FileFormatError("the file holds no CLIP with a convolutional image tower: clipiqa needs RN50.pt");
  const model = new ResNetCLIP(config, { device, rng: new Rng(0) });
  try {
    loadResNetCLIP(model, weights);
    return { model, ids: new Tokenizer().tensor(device, CLIPIQA_PROMPTS, config.text.contextLength) };
  } catch (error) {
    model.dispose();
    throw error;
  }
});
