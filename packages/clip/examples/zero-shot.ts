/**
 * Which of some things does a picture show? With weights in open_clip's form, such as
 * https://huggingface.co/laion/CLIP-ViT-B-32-laion2B-s34B-b79K, as safetensors or as a file of PyTorch:
 *
 *     npm install @deplsr/clip sharp webgpu && npm pkg set type=module
 *     npx tsx zero-shot.ts open_clip_config.json open_clip_model.safetensors photo.jpg "cat" "dog" "boat at sea"
 */
import { readFile } from "node:fs/promises";
import {
  CLIP,
  classify,
  loadCLIP,
  parseOpenClipConfig,
  preprocessImages,
  Tokenizer,
  zeroShotClassifier,
} from "@deplsr/clip";
import { loadFile, openTensorFile, selectWeights } from "@deplsr/nn";
import { bytesSource, Device, Rng } from "@deplsr/tensor";
import sharp from "sharp";

const [configuration, weights, picture, ...classNames] = process.argv.slice(2);
if (!configuration || !weights || !picture || classNames.length === 0) {
  throw new Error("usage: zero-shot.ts CONFIGURATION WEIGHTS PICTURE CLASS...");
}

const device = await Device.request();
const config = parseOpenClipConfig(JSON.parse(await readFile(configuration, "utf8")));
const model = new CLIP(config, { device, rng: new Rng(0), blank: true });
const { tensors } = selectWeights(await openTensorFile(bytesSource(await readFile(weights))));
await loadFile(tensors, (entries, options) => loadCLIP(model, entries, options));

const { data, info } = await sharp(picture).flatten().toColourspace("srgb").raw().toBuffer({ resolveWithObject: true });
const image = { width: info.width, height: info.height, channels: 3, data } as const;
const images = preprocessImages(device, [image], { size: config.vision.imageSize });

const classifier = zeroShotClassifier(model, new Tokenizer(), classNames, ["a photo of a {}.", "a picture of a {}."]);
const probabilities = await classify(model, images, classifier).data();
for (const [i, name] of classNames.entries()) console.log(`${name}: ${(100 * probabilities[i]!).toFixed(1)} %`);
