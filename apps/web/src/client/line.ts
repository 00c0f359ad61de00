/** The line to the worker: calls with answers, and what comes in between. */
import type { DeviceDescription, EnlargeOptions } from "./api.ts";
import type { Answered, Asked, CallName, ErrorFacts, Reply, Request } from "./protocol.ts";

/** What a call may be told on its way, and what ends it. */
type CallOptions = EnlargeOptions;

interface Waiting {
  readonly resolve: (answer: Answered<CallName>) => void;
  readonly reject: (reason: unknown) => void;
  readonly options: CallOptions;
}

/** Calls to a worker. */
export class Line {
  /** Told whenever another device takes over. */
  onDevice: (device: DeviceDescription) => void = () => {};
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #calls = 0;
  /** Why nothing is answered any more. */
  #ended: Error | null = null;

  /** @param base where the worker's file lies; default: where the build has put it */
  constructor(base: string | URL | undefined) {
    this.#worker = startWorker(base);
    this.#worker.onmessage = ({ data }: MessageEvent<Reply>) => this.#take(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      const why = event.message || "its file cannot be loaded, or the page's security policy forbids it";
      this.#end(new Error(`the worker ended (${why}): reload the page`));
    };
  }

  /** Asks the worker. @throws Error as the worker has it; the signal's reason once it is aborted */
  async call<Name extends CallName>(call: Name, what: Asked<Name>, options: CallOptions = {}): Promise<Answered<Name>> {
    const { signal } = options;
    signal?.throwIfAborted();
    if (this.#ended) throw this.#ended;
    const id = ++this.#calls;
    const abort = (): void => {
      this.#send({ id, abort: true });
      this.#waiting.get(id)?.reject(signal!.reason);
      this.#waiting.delete(id);
    };
    try {
      return await new Promise<Answered<Name>>((resolve, reject) => {
        this.#waiting.set(id, { resolve: resolve as Waiting["resolve"], reject, options });
        signal?.addEventListener("abort", abort, { once: true });
        // The three always go together.
        this.#send({ id, call, what } as Request);
      });
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Ends the worker, and all that is under way. */
  close(): void {
    this.#end(new DOMException("the upscaler was closed", "AbortError"));
  }

  #send(request: Request): void {
    this.#worker.postMessage(request);
  }

  #take(reply: Reply): void {
    if ("device" in reply) {
      this.onDevice(reply.device);
      return;
    }
    const waiting = this.#waiting.get(reply.id);
    if ("progress" in reply) waiting?.options.onProgress?.(...reply.progress);
    else if ("tile" in reply) {
      if (waiting?.options.onTile) waiting.options.onTile(reply.tile);
      else reply.tile.bitmap.close();
    } else {
      this.#waiting.delete(reply.id);
      if ("error" in reply) waiting?.reject(asError(reply.error));
      else waiting?.resolve(reply.answer);
    }
  }

  #end(error: Error): void {
    this.#ended ??= error;
    this.#worker.terminate();
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
    this.#waiting.clear();
  }
}

function asError({ name, message }: ErrorFacts): Error {
  if (name === "RangeError") return new RangeError(message);
  return name === "AbortError" ? new DOMException(message, name) : new Error(message);
}

/** Browsers start no workers of another origin: there, one of the page's own loads the file. */
function startWorker(base: string | URL | undefined): Worker {
  // The bundler looks for exactly these words, and puts the file's place into them.
  const Worker = class extends globalThis.Worker {
    constructor(found: URL, options: WorkerOptions) {
      const url = base === undefined ? found : new URL(found.pathname.replace(/^.*\//, ""), folder(base));
      super(url.origin === location.origin ? url : importing(url), options);
    }
  };
  return new Worker(new URL("../engine/worker.ts", import.meta.url), { type: "module" });
}

function folder(base: string | URL): URL {
  const url = new URL(base, document.baseURI);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

function importing(url: URL): URL {
  const text = `import ${JSON.stringify(url.href)};`;
  return new URL(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
}
