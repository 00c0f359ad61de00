/**
 * The process of one network of UpscalerJS: `FOLDER_OF_PEERS MODEL SCALE`, then images in and enlarged images out, one at a time.
 *
 * The weights are those of the package `@upscalerjs/MODEL`, run by TensorFlow.js on WebAssembly. The package `upscaler` around them does not load in Node
 * without TensorFlow's native library; what it adds to an image that is enlarged whole is rounding and clamping.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Image } from "../../../apps/cli/src/data/image.ts";
import type { Tf, TfTensor } from "../peers/tfjs.ts";
import type { Answer } from "./upscaler-process.ts";

/** As much of TensorFlow.js as running a model of layers takes. */
interface TfLayers extends Tf {
  loadLayersModel(source: { load(): Promise<unknown> }): Promise<{ predict(x: TfTensor): TfTensor }>;
}

/** What the packages say of their models. */
interface Definition {
  readonly modelType: string;
  readonly inputRange: readonly [number, number];
  readonly outputRange: readonly [number, number];
  readonly _internals: { readonly path: string };
}

interface ModelFile {
  readonly modelTopology: unknown;
  readonly weightsManifest: readonly { readonly paths: readonly string[]; readonly weights: readonly unknown[] }[];
}

const [folder = "", model = "", scale = ""] = process.argv.slice(2);
const peers = createRequire(join(folder, "package.json"));

async function open(): Promise<(image: Image) => Promise<Image>> {
  const tf = peers("@tensorflow/tfjs") as TfLayers;
  peers("@tensorflow/tfjs-backend-wasm");
  if (!(await tf.setBackend("wasm"))) throw new Error("tfjs does not start its wasm backend");
  await tf.ready();
  const definition = peers(`@upscalerjs/${model}/${scale}x`) as Definition;
  const { inputRange, outputRange, _internals } = definition;
  // 0 … 255 in and out: then pixels are what the network takes.
  if (definition.modelType !== "layers" || inputRange[1] !== 255 || outputRange[1] !== 255) {
    throw new Error(`@upscalerjs/${model} is of another kind than it was`);
  }
  // "./package.json" is not exported: its folder is found from what is.
  const entry = peers.resolve(`@upscalerjs/${model}`);
  const file = join(
    entry.slice(0, entry.lastIndexOf(join("@upscalerjs", model))),
    "@upscalerjs",
    model,
    _internals.path,
  );
  const { modelTopology, weightsManifest } = JSON.parse(readFileSync(file, "utf8")) as ModelFile;
  const bytes = Buffer.concat(
    weightsManifest.flatMap(({ paths }) => paths.map((path) => readFileSync(join(dirname(file), path)))),
  );
  const weightData = Uint8Array.from(bytes).buffer;
  const weightSpecs = weightsManifest.flatMap(({ weights }) => weights);
  const network = await tf.loadLayersModel({ load: async () => ({ modelTopology, weightSpecs, weightData }) });
  return async ({ width, height, data }) => {
    const y = tf.tidy(() => network.predict(tf.tensor(Float32Array.from(data), [1, height, width, 3])));
    const values = await y.data();
    const [, h = 0, w = 0] = y.shape;
    y.dispose();
    return {
      width: w,
      height: h,
      data: Uint8Array.from(values, (value) => Math.round(Math.min(255, Math.max(0, value)))),
    };
  };
}

const opened = open();
// Whoever asks first hears of it.
opened.catch(() => {});
process.on("message", async (image: Image) => {
  const answer: Answer = await opened
    .then(async (enlarge) => ({ image: await enlarge(image) }))
    .catch((error: unknown) => ({ error: error instanceof Error ? error.message : String(error) }));
  process.send?.(answer);
});
process.on("disconnect", () => process.exit(0));
