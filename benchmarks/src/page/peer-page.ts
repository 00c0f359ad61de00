/** UpscalerJS with its default model in a page, by script tags, as its guide has it. */

/** The globals of its scripts, as much of them as is used here. */
declare const tf: {
  getBackend(): string;
  ready(): Promise<void>;
  readonly wasm: {
    setWasmPaths(prefix: string): void;
    setThreadsCount(count: number): void;
    getThreadsCount(): number;
  };
};
declare const DefaultUpscalerJSModel: object;
declare const Upscaler: new (options: {
  readonly model: object;
}) => {
  readonly ready: Promise<void>;
  upscale(
    image: HTMLImageElement,
    options: { readonly patchSize?: number; readonly padding?: number; readonly output: "base64" },
  ): Promise<string>;
};

/** What is asked of it. */
export interface PeerTask {
  /** Where the image lies. */
  readonly url: string;
  /** Side of the patches, and what they see beyond; null: the image whole, as by default. */
  readonly patch: { readonly size: number; readonly padding: number } | null;
}

/** What came of it. */
export interface PeerResult {
  readonly backend: string;
  readonly threads: number;
  /** From the image to the address of its PNG, in seconds, the model loaded. */
  readonly seconds: number;
  /** Base64. */
  readonly file: string;
}

async function upscale({ url, patch }: PeerTask): Promise<PeerResult> {
  tf.wasm.setWasmPaths("/peers/");
  // By default it leaves half of the cores alone.
  tf.wasm.setThreadsCount(navigator.hardwareConcurrency);
  await tf.ready();
  const upscaler = new Upscaler({ model: { ...DefaultUpscalerJSModel, path: "/peers/model.json" } });
  await upscaler.ready;
  const image = new Image();
  image.src = url;
  await image.decode();
  const started = performance.now();
  const address = await upscaler.upscale(image, {
    output: "base64",
    ...(patch === null ? {} : { patchSize: patch.size, padding: patch.padding }),
  });
  return {
    backend: tf.getBackend(),
    threads: tf.getBackend() === "wasm" ? tf.wasm.getThreadsCount() : 1,
    seconds: (performance.now() - started) / 1000,
    file: address.slice(address.indexOf(",") + 1),
  };
}

Object.assign(globalThis, { upscale });
