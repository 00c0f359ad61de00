/** The page's side of the upscaler. */
import type {
  Abortable,
  EnlargedPhoto,
  EnlargeOptions,
  EnlargeSettings,
  OpenPhoto,
  OpenUpscaler,
  ResultPlan,
  Upscaler,
} from "./api.ts";
import { planOf } from "./limits.ts";
import { Line } from "./line.ts";
import type { PhotoFacts, ResultFacts } from "./protocol.ts";

/** Opens an upscaler: starts the worker, chooses a device, loads the models. @throws Error with one line for people */
export const openUpscaler: OpenUpscaler = async ({ base, backend = "auto", onDevice } = {}): Promise<Upscaler> => {
  const line = new Line(base);
  try {
    let device = await line.call("open", { backend });
    line.onDevice = (another) => {
      device = another;
      onDevice?.(another);
    };
    return {
      get device() {
        return device;
      },
      async read(file, options = {}) {
        const name = options.name ?? (file instanceof File ? file.name : "the photo");
        return openPhoto(line, await line.call("read", { file, name }, options));
      },
      close: () => line.close(),
    };
  } catch (error) {
    line.close();
    throw error;
  }
};

function openPhoto(line: Line, facts: PhotoFacts): OpenPhoto {
  const { photo, room: _, ...shown } = facts;
  const closing = new AbortController();
  /** Ends with the photo too. */
  const until = ({ signal }: Abortable): { signal: AbortSignal } => ({
    signal: signal ? AbortSignal.any([signal, closing.signal]) : closing.signal,
  });
  return {
    ...shown,
    diagnose: (options = {}) => line.call("diagnose", { photo }, until(options)),
    attention: (options = {}) => line.call("attention", { photo }, until(options)),
    plan: (settings) => planOf(facts, settings),
    async enlarge(settings: EnlargeSettings, options: EnlargeOptions = {}) {
      const plan = planOf(facts, settings);
      const refused = Object.values(plan.refused);
      if (!refused.includes(null)) throw new Error(refused[0]!);
      const { onProgress, onTile } = options;
      const result = await line.call(
        "enlarge",
        { photo, settings, preview: onTile !== undefined },
        { ...until(options), ...(onProgress ? { onProgress } : {}), ...(onTile ? { onTile } : {}) },
      );
      return enlarged(line, plan, result);
    },
    close() {
      if (closing.signal.aborted) return;
      closing.abort(new DOMException(`${shown.name} was closed`, "AbortError"));
      void line.call("closePhoto", { photo }).catch(() => {});
    },
  };
}

function enlarged(line: Line, plan: ResultPlan, { result, seconds }: ResultFacts): EnlargedPhoto {
  return {
    ...plan,
    seconds,
    crop: (part) => line.call("crop", { result, part }),
    async encode(format, options = {}) {
      const { quality } = options;
      const refused = plan.refused[format];
      if (refused !== null) throw new Error(refused);
      return line.call("encode", { result, format, ...(quality === undefined ? {} : { quality }) }, options);
    },
    close: () => void line.call("closeResult", { result }).catch(() => {}),
  };
}
