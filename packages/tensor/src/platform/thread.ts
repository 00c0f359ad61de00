/** What a worker of the CPU backend is given. */
export interface ThreadStart {
  readonly memory: WebAssembly.Memory;
  readonly map: object;
  readonly thread: number;
}

/** A worker of the CPU backend. */
export interface Thread {
  stop(): void;
}
