/** What a worker of the CPU backend is given. */
export interface ThreadStart {
  readonly memory: WebAssembly.Memory;
  readonly map: object;
  readonly thread: number;
}

/** A worker of the CPU backend. */
export interface Thread {
  /** Settles when it runs; rejects where it cannot be started. */
  readonly ready: Promise<void>;
  stop(): void;
}
