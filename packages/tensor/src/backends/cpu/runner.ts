/** Where things lie in the low, fixed part of the memory: addresses in bytes. */
export interface MemoryMap {
  /** The number of the batch that is open; workers wait on it. */
  readonly epoch: number;
  /** How many groups it has. */
  readonly groupCount: number;
  /** Set when workers are to end. */
  readonly stop: number;
  /** Set when a kernel threw. */
  readonly failed: number;
  /** Groups of 8 words: claim, done, chunks, first entry, entries, units, grain. */
  readonly groups: number;
  /** Entries of 4 words: kernel, arguments, units. */
  readonly entries: number;
  /** For each kernel 4 words: the address and the length of its code, and a serial number, since places are used again. */
  readonly kernels: number;
  /** Where all this ends. */
  readonly end: number;
}

/** What runs the groups of a batch together with the runners of the other threads. */
export interface Runner {
  /** Takes part in batch `epoch` until all its groups are done. */
  run(epoch: number): void;
  /** Calls one kernel. */
  call(kernel: number, args: number, begin: number, end: number): void;
  /** A worker's life: waits for batches and runs them. */
  serve(): void;
}

/**
 * The scheduler, one for each thread. A group is one launch cut into chunks, or several small launches in one chunk. Threads claim
 * chunks of a group until there are none left, wait until the last one is done, and go on to the next group. A claim word holds
 * the batch's number and the next chunk, so that a thread that comes late to a batch claims nothing of the next one.
 *
 * Workers run this function out of its own text: it must not refer to anything outside of itself.
 */
export function createRunner(memory: WebAssembly.Memory, map: MemoryMap, thread: number, mayWait: boolean): Runner {
  // A view of shared memory stays valid when that grows; another one has to be made anew.
  let words = new Int32Array(memory.buffer, 0, map.end / 4);
  const functions: ((args: number, begin: number, end: number, thread: number) => void)[] = [];
  const serials: number[] = [];

  const call = (kernel: number, args: number, begin: number, end: number): void => {
    let run = functions[kernel];
    if (words.byteLength === 0) words = new Int32Array(memory.buffer, 0, map.end / 4);
    const entry = map.kernels / 4 + 4 * kernel;
    if (!run || serials[kernel] !== words[entry + 2]) {
      // A copy in memory of its own, since code cannot be compiled out of shared memory.
      const code = new Uint8Array(words[entry + 1]!);
      code.set(new Uint8Array(memory.buffer, words[entry]!, code.length));
      const instance = new WebAssembly.Instance(new WebAssembly.Module(code), { env: { memory } });
      run = instance.exports.run as (args: number, begin: number, end: number, thread: number) => void;
      functions[kernel] = run;
      serials[kernel] = words[entry + 2]!;
    }
    run(args, begin, end, thread);
  };

  const chunkOf = (group: number, chunk: number): void => {
    const first = map.entries / 4 + 4 * words[group + 3]!;
    const entries = words[group + 4]!;
    try {
      if (entries === 1) {
        const units = words[group + 5]!;
        const grain = words[group + 6]!;
        const begin = chunk * grain;
        call(words[first]!, words[first + 1]!, begin, Math.min(units, begin + grain));
        return;
      }
      for (let i = 0; i < entries; i++) {
        call(words[first + 4 * i]!, words[first + 4 * i + 1]!, 0, words[first + 4 * i + 2]!);
      }
    } catch {
      Atomics.store(words, map.failed / 4, 1);
    }
  };

  const run = (epoch: number): void => {
    const mark = epoch & 0xfffff;
    const count = words[map.groupCount / 4]!;
    for (let g = 0; g < count; g++) {
      const group = map.groups / 4 + 8 * g;
      let chunks = 0;
      for (;;) {
        const claim = Atomics.load(words, group);
        if (claim >>> 12 !== mark) return;
        chunks = words[group + 2]!;
        const chunk = claim & 4095;
        if (chunk >= chunks) break;
        if (Atomics.compareExchange(words, group, claim, claim + 1) !== claim) continue;
        chunkOf(group, chunk);
        if (Atomics.add(words, group + 1, 1) + 1 === chunks) Atomics.notify(words, group + 1);
      }
      for (let turns = 0; ; turns++) {
        const done = Atomics.load(words, group + 1);
        if (done >= chunks || Atomics.load(words, group) >>> 12 !== mark) break;
        if (mayWait && turns > 4000) Atomics.wait(words, group + 1, done, 1);
      }
    }
  };

  const serve = (): void => {
    let seen = 0;
    while (Atomics.load(words, map.stop / 4) === 0) {
      let epoch = Atomics.load(words, map.epoch / 4);
      for (let turns = 0; epoch === seen && turns < 10000; turns++) epoch = Atomics.load(words, map.epoch / 4);
      if (epoch === seen) {
        Atomics.wait(words, map.epoch / 4, seen);
        continue;
      }
      seen = epoch;
      run(epoch);
    }
  };

  return { run, call, serve };
}
